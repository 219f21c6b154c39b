//! `punktfunk-host ctl`: the management API from a terminal. It draws what the API says and computes nothing.

mod client;
mod compare;
mod console;
mod query;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use punktfunk_captures::{StartRequest, StatsStatus};
use punktfunk_recordings::{Capture, CaptureMeta, Language, StatsSample};
use serde_json::{Value, json};

use self::client::{Answer, Client};
use crate::config::HostConfig;
use crate::render;

pub use self::client::CtlError;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What the capture service does now
    Status,
    /// Start a capture; if one runs already, say so
    Start(StartArgs),
    /// Stop the capture, save it and show what it says
    Stop,
    /// Set a marker in the running capture
    Mark {
        /// Text of the marker
        text: String,
    },
    /// Follow the running capture, one line a window; ends with Ctrl-C
    Watch,
    /// The saved recordings
    #[command(subcommand)]
    Recordings(Recordings),
    /// Requests to pair; with a request's id, let that client in
    Pair(PairArgs),
    /// Paired clients
    #[command(subcommand)]
    Clients(Clients),
    /// Sessions that stream now
    Sessions,
    /// Hold recordings against the first one: what changed, and what is noise
    Compare {
        /// Two to four ids
        #[arg(required = true, num_args = 2..=4)]
        ids: Vec<String>,
    },
    /// Check a recording against the baseline; exit code 0 passes, 3 fails, 4 cannot tell
    Check(CheckArgs),
    /// The recording that others are held against; with an id, pin it
    Baseline {
        /// Its id
        id: Option<String>,
        /// Take the pin away
        #[arg(long, conflicts_with = "id")]
        clear: bool,
    },
    /// Write the report of a recording, or of a comparison, as one HTML file
    Report {
        /// One id; two to four for a comparison
        #[arg(required = true, num_args = 1..=4)]
        ids: Vec<String>,
        /// File to write; standard output without it
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Its language: en or de
        #[arg(long, default_value_t)]
        language: Language,
    },
    /// A link that signs one browser in to the console, once
    Console {
        /// Also as a QR code, for a phone
        #[arg(long)]
        qr: bool,
    },
    /// PromQL for the questions that operators ask
    Query(query::QueryArgs),
}

/// How to start.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// What to call the recording
    #[arg(long)]
    label: Option<String>,
    /// Anything worth remembering
    #[arg(long)]
    note: Option<String>,
    /// Wait this long first
    #[arg(long, value_name = "SECONDS")]
    delay: Option<u32>,
    /// Stop by itself after this long
    #[arg(long, value_name = "SECONDS")]
    max_duration: Option<u32>,
    /// Stop when the last measured session has ended
    #[arg(long)]
    stop_with_session: bool,
}

/// What to check, and against what.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Id of the recording; the newest without it
    id: Option<String>,
    /// Id of the baseline; the pinned one without it
    #[arg(long)]
    baseline: Option<String>,
    /// How much worse a figure may be, percent
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = compare::percent)]
    max_regression: f64,
}

/// What can be done with recordings.
#[derive(Debug, Subcommand)]
pub enum Recordings {
    /// Newest first
    List,
    /// Figures and verdict of one
    Show {
        /// Its id
        id: String,
    },
    /// Hold one against the metrics backend, as long as that has its window
    Resnapshot {
        /// Its id
        id: String,
    },
    /// Delete one
    Delete {
        /// Its id
        id: String,
    },
    /// Take one in from a JSON file
    Import {
        /// The file
        file: PathBuf,
    },
    /// Write one to a file or to standard output
    Export {
        /// Its id
        id: String,
        /// CSV of the samples instead of JSON
        #[arg(long)]
        csv: bool,
        /// CSV of the frames that were kept whole
        #[arg(long, conflicts_with = "csv")]
        frames_csv: bool,
        /// OpenMetrics text, one point a window
        #[arg(long, conflicts_with_all = ["csv", "frames_csv"])]
        openmetrics: bool,
        /// File to write
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

/// Which request, and how.
#[derive(Debug, Args)]
pub struct PairArgs {
    /// Id of the request; without one, the requests are listed
    request: Option<String>,
    /// PIN that the client shows; without one, the host makes one to be typed at the client
    #[arg(long)]
    pin: Option<String>,
    /// What to call the client
    #[arg(long)]
    name: Option<String>,
}

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub enum Clients {
    /// All of them
    List,
    /// Let one in no more; ends its sessions
    Revoke {
        /// Its id
        id: String,
    },
}

/// Runs one command and prints its answer; with `json`, as the API gave it.
///
/// # Errors
/// When the host cannot be reached, or refuses; the error says what to do.
#[allow(clippy::print_stdout, reason = "a command prints its answer")]
pub async fn run(
    command: Command,
    config: &HostConfig,
    directory: &std::path::Path,
    json: bool,
) -> Result<ExitCode, CtlError> {
    if let Command::Query(args) = command {
        let cut = |error: tokio::task::JoinError| CtlError::Query(error.to_string());
        print!("{}", tokio::task::spawn_blocking(move || query::answer(&args)).await.map_err(cut)??);
        return Ok(ExitCode::SUCCESS);
    }
    let client = Client::new(config, directory)?;
    match command {
        Command::Watch => watch(&client, json).await?,
        Command::Recordings(Recordings::Export { id, csv, frames_csv, openmetrics, output }) => {
            let part = match (csv, frames_csv, openmetrics) {
                (true, ..) => "/csv",
                (_, true, _) => "/csv?of=frames",
                (.., true) => "/openmetrics",
                _ => "",
            };
            let answer = client.get(&format!("{}{part}", recording(&id))).await?;
            write(answer.bytes(), output)?;
        }
        Command::Report { ids, output, language } => {
            let path = match ids.as_slice() {
                [id] => format!("{}/report?language={language}", recording(id)),
                ids => format!("stats/compare/report?ids={}&language={language}", compare::list(ids)),
            };
            write(client.get(&path).await?.bytes(), output)?;
        }
        Command::Check(args) => {
            let (answer, text, code) = compare::check(&client, args).await?;
            if json {
                println!("{}", answer.text()?);
            } else {
                print!("{text}");
            }
            return Ok(code);
        }
        command => {
            let (answer, text) = ask(&client, command).await?;
            if json {
                println!("{}", answer.text()?);
            } else {
                print!("{text}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One question and one answer, with what a person reads of it.
async fn ask(client: &Client, command: Command) -> Result<(Answer, String), CtlError> {
    Ok(match command {
        Command::Status => {
            let answer = client.get("stats/capture/status").await?;
            let text = format!("{}\n", render::status(&answer.parse::<StatsStatus>()?));
            (answer, text)
        }
        Command::Start(args) => {
            let request = StartRequest {
                label: args.label,
                note: args.note,
                delay_s: args.delay,
                max_duration_s: args.max_duration,
                stop_with_session: args.stop_with_session.then_some(true),
            };
            let answer = client.post("stats/capture/start", &request).await?;
            let text = format!("{}\n", render::status(&answer.parse::<StatsStatus>()?));
            (answer, text)
        }
        Command::Stop => {
            let answer = client.post("stats/capture/stop", &json!({})).await?;
            if answer.is_empty() {
                (answer, "nothing was running\n".to_owned())
            } else {
                let meta = answer.parse::<CaptureMeta>()?;
                let recording = client.get(&format!("stats/recordings/{}?distributions=false", meta.id)).await?;
                (answer, render::capture(&recording.parse::<Capture>()?))
            }
        }
        Command::Mark { text } => {
            let answer = client.post("stats/capture/markers", &json!({ "text": text })).await?;
            (answer, "marked\n".to_owned())
        }
        Command::Recordings(Recordings::List) => list(client).await?,
        Command::Recordings(Recordings::Show { id }) => {
            let answer = client.get(&format!("{}?distributions=false", recording(&id))).await?;
            let text = render::capture(&answer.parse::<Capture>()?);
            (answer, text)
        }
        Command::Recordings(Recordings::Resnapshot { id }) => {
            let answer = client.post(&format!("{}/snapshot", recording(&id)), &json!({})).await?;
            let text =
                format!("the snapshot is taken; see ctl status, then ctl recordings show {}\n", render::printable(&id));
            (answer, text)
        }
        Command::Recordings(Recordings::Delete { id }) => {
            let answer = client.delete(&recording(&id)).await?;
            (answer, format!("deleted {}\n", render::printable(&id)))
        }
        Command::Pair(PairArgs { request: None, .. }) => {
            let answer = client.get("pair").await?;
            let text = pair_requests(&answer.parse()?);
            (answer, text)
        }
        Command::Pair(PairArgs { request: Some(request), pin, name }) => {
            let answer = client.post("pair", &json!({ "request": request, "pin": pin, "name": name })).await?;
            let shown = answer.parse::<Value>()?;
            let text = match pin {
                Some(_) => "the client is let in if that is the PIN that it shows; see ctl clients list\n".to_owned(),
                None => format!("PIN {}: type it at the client within two minutes\n", field(&shown, "pin")),
            };
            (answer, text)
        }
        Command::Clients(Clients::List) => {
            let answer = client.get("clients").await?;
            let text = clients(&answer.parse()?);
            (answer, text)
        }
        Command::Clients(Clients::Revoke { id }) => {
            let answer = client.delete(&format!("clients/{}", client::segment(&id))).await?;
            (answer, format!("revoked {}\n", render::printable(&id)))
        }
        Command::Sessions => {
            let answer = client.get("sessions").await?;
            let text = sessions(&answer.parse()?);
            (answer, text)
        }
        Command::Console { qr } => {
            let answer = client.post("auth/links", &json!({})).await?;
            let text = console::text(&answer.parse()?, qr)?;
            (answer, text)
        }
        Command::Compare { ids } => {
            let answer = client.get(&format!("stats/compare?ids={}", compare::list(&ids))).await?;
            let text = compare::text(&answer.parse()?);
            (answer, text)
        }
        Command::Baseline { id, clear } => compare::baseline(client, id, clear).await?,
        Command::Recordings(Recordings::Import { file }) => {
            let failed = |source| CtlError::Output { path: file.display().to_string(), source };
            let answer = client.post_bytes("stats/recordings", std::fs::read(&file).map_err(failed)?).await?;
            let text = format!("{}\n", render::printable(answer.parse::<CaptureMeta>()?.id.as_str()));
            (answer, text)
        }
        Command::Watch
        | Command::Query(_)
        | Command::Check(_)
        | Command::Report { .. }
        | Command::Recordings(Recordings::Export { .. }) => {
            // `run` has taken these: their answers are streams, or not the host's.
            return Err(CtlError::Answer("not one answer".into()));
        }
    })
}

fn recording(id: &str) -> String {
    format!("stats/recordings/{}", client::segment(id))
}

/// Text of a field, fit for a terminal.
fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => render::printable(text),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// All pages of the list, with what cannot be read and why.
async fn list(client: &Client) -> Result<(Answer, String), CtlError> {
    let mut metas: Vec<CaptureMeta> = Vec::new();
    let mut unreadable = String::new();
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = match &cursor {
            None => "stats/recordings?limit=500".to_owned(),
            Some(cursor) => format!("stats/recordings?limit=500&cursor={}", client::segment(cursor)),
        };
        let page = client.get(&page).await?.parse::<Value>()?;
        for entry in page["recordings"].as_array().into_iter().flatten() {
            match serde_json::from_value(entry["meta"].clone()) {
                Ok(meta) => metas.push(meta),
                Err(_) => unreadable.push_str(&format!(
                    "  unreadable: {}: {}\n",
                    field(entry, "name"),
                    field(entry, "reason")
                )),
            }
            entries.push(entry.clone());
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let text = format!("{}{unreadable}", render::recordings(&metas));
    Ok((Answer::of(&json!({ "recordings": entries })), text))
}

fn pair_requests(requests: &Value) -> String {
    let mut text = String::new();
    for request in requests.as_array().into_iter().flatten() {
        text.push_str(&format!(
            "  {}  {}  {}  from {}  fingerprint {}\n",
            field(request, "id"),
            field(request, "protocol"),
            field(request, "name"),
            field(request, "address"),
            field(request, "fingerprint")
        ));
    }
    if text.is_empty() {
        return "no client asks to be paired: run `punktfunk-probe pair HOST` there, or add this host in Moonlight\n"
            .to_owned();
    }
    text + "  let one in with: ctl pair ID --name NAME, and --pin PIN if it shows one\n"
}

fn clients(clients: &Value) -> String {
    let mut text = String::new();
    for client in clients.as_array().into_iter().flatten() {
        let connected = if client["connected"] == Value::Bool(true) { "connected" } else { "" };
        text.push_str(&format!("  {}  {}  {connected}\n", field(client, "id"), field(client, "name")));
    }
    if text.is_empty() { "no client is paired\n".to_owned() } else { text }
}

fn sessions(sessions: &Value) -> String {
    let mut text = String::new();
    for session in sessions.as_array().into_iter().flatten() {
        text.push_str(&format!(
            "  {}  {}  {}x{}@{}  {}\n",
            field(session, "id"),
            field(session, "protocol"),
            field(session, "width"),
            field(session, "height"),
            field(session, "fps"),
            field(session, "client")
        ));
    }
    if text.is_empty() { "nobody streams\n".to_owned() } else { text }
}

/// Follows the event stream until it ends.
#[allow(clippy::print_stdout, reason = "a command prints its answer")]
async fn watch(client: &Client, json: bool) -> Result<(), CtlError> {
    let mut events = client.events("stats/capture/stream").await?;
    while let Some(event) = events.next().await? {
        if json {
            println!("{}", event.data);
        } else if event.name == "sample" {
            let sample: StatsSample = client::parse(event.data.as_bytes())?;
            println!("{}", render::sample(&sample));
        } else if event.name == "status" {
            println!("{}", render::status(&client::parse(event.data.as_bytes())?));
        } else if event.name == "marker" {
            let marker: Value = client::parse(event.data.as_bytes())?;
            println!("          {}", field(&marker, "text"));
        }
    }
    Ok(())
}

/// Writes an answer to a file or to standard output.
fn write(bytes: &[u8], output: Option<PathBuf>) -> Result<(), CtlError> {
    match output {
        Some(path) => {
            std::fs::write(&path, bytes).map_err(|source| CtlError::Output { path: path.display().to_string(), source })
        }
        None => {
            use std::io::Write as _;
            let written = std::io::stdout().write_all(bytes);
            written.map_err(|source| CtlError::Output { path: "standard output".into(), source })
        }
    }
}
