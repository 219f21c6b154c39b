//! A real Thanos cluster: three receivers that keep each sample thrice, and a querier.

use std::array;
use std::path::Path;
use std::{fs, iter};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::process::{Process, free_port, wait_until};
use crate::prometheus::query;
use crate::tools::{ToolSet, deployed, tool};

const NODES: usize = 3;

/// The cluster, on loopback ports of its own; ends when dropped, or with the process that started it.
#[derive(Debug)]
pub struct Thanos {
    receivers: [Receiver; NODES],
    querier: Process,
    query_port: u16,
    _dir: TempDir,
}

#[derive(Debug)]
struct Receiver {
    process: Process,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    grpc: u16,
    http: u16,
    write: u16,
    capnproto: u16,
}

impl Thanos {
    /// Starts it and waits until it takes samples and the querier knows the three: some seconds.
    ///
    /// # Panics
    ///
    /// If it is not built ([`tools`](crate::tools) tells), or does not take the configuration.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let program = tool(ToolSet::Thanos, "thanos");
        let ports: [Ports; NODES] = array::from_fn(|_| {
            let [grpc, http, write, capnproto] = array::from_fn(|_| free_port());
            Ports { grpc, http, write, capnproto }
        });
        let hashring = dir.path().join("hashring.json");
        let endpoints =
            ports.map(|ports| json!({"address": local(ports.grpc), "capnproto_address": local(ports.capnproto)}));
        let hashring_text = json!([{"endpoints": endpoints}]).to_string();
        fs::write(&hashring, hashring_text).expect("there is room for a small file");

        let receivers = array::from_fn(|node| {
            let own = ports[node];
            let mut flags = vec!["receive".to_owned(), format!("@{}", deployed("thanos/receive.flags").display())];
            flags.extend([
                format!("--grpc-address={}", local(own.grpc)),
                format!("--http-address={}", local(own.http)),
                format!("--remote-write.address={}", local(own.write)),
                format!("--receive.capnproto-address={}", local(own.capnproto)),
                format!("--receive.local-endpoint={}", local(own.grpc)),
                format!("--receive.hashrings-file={}", hashring.display()),
                format!("--tsdb.path={}", dir.path().join(format!("data-{node}")).display()),
                format!("--label=replica=\"r{node}\""),
            ]);
            let log = dir.path().join(format!("receiver-{node}.log"));
            let ready = || http::is_ok(&format!("http://{}/-/ready", local(own.http)));
            Receiver { process: start(&program, &flags, &log, ready), ports: own }
        });

        let (query_port, query_grpc_port) = (free_port(), free_port());
        let mut flags = vec!["query".to_owned(), format!("@{}", deployed("thanos/query.flags").display())];
        flags.push(format!("--http-address={}", local(query_port)));
        flags.push(format!("--grpc-address={}", local(query_grpc_port)));
        flags.extend(ports.iter().map(|ports| format!("--endpoint={}", local(ports.grpc))));
        let ready = || http::is_ok(&format!("http://{}/-/ready", local(query_port)));
        let querier = start(&program, &flags, &dir.path().join("querier.log"), ready);

        let cluster = Self { receivers, querier, query_port, _dir: dir };
        wait_until("the querier knows the receivers", || cluster.stores() == NODES);
        cluster
    }

    /// Where a node takes OTLP over HTTP, in full. Nodes are 0, 1 and 2.
    pub fn otlp_url(&self, node: usize) -> String {
        format!("http://{}/api/v1/otlp", local(self.receivers[node].ports.write))
    }

    /// `http://127.0.0.1:PORT` of the querier, which speaks Prometheus' API.
    pub fn query_url(&self) -> String {
        format!("http://{}", local(self.query_port))
    }

    /// The whole answer to an instant query, errors and warnings included; `time` in seconds since 1970, or now.
    ///
    /// # Panics
    ///
    /// If it does not answer, or not with JSON.
    pub fn query(&self, promql: &str, time: Option<f64>) -> Value {
        query(&self.query_url(), promql, time)
    }

    /// SIGKILL to one receiver; it is gone when this returns.
    pub fn kill(&self, node: usize) {
        self.receivers[node].process.kill();
    }

    /// What all of them have logged.
    pub fn log(&self) -> String {
        let receivers = self.receivers.iter().map(|receiver| receiver.process.log());
        receivers.chain(iter::once(self.querier.log())).collect()
    }

    /// Receivers that the querier asks at the moment.
    fn stores(&self) -> usize {
        let answer = http::get(&format!("{}/api/v1/stores", self.query_url())).expect("the querier answers").json();
        let stores = answer["data"].as_object().into_iter().flat_map(|kinds| kinds.values());
        let stores = stores.flat_map(|stores| stores.as_array().into_iter().flatten());
        stores.filter(|store| store["lastError"].is_null()).count()
    }
}

fn start(program: &Path, flags: &[String], log: &Path, ready: impl Fn() -> bool) -> Process {
    Process::start(program.to_owned(), flags.iter().map(Into::into).collect(), log.to_owned(), ready)
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
