//! Grafana's part: variables, intervals and queries of the checked-in dashboards, expanded as Grafana does and asked of a real
//! Prometheus. (`$__rate_interval`: <https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/>)

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Prometheus;

/// `jsonData.timeInterval` of the provisioned datasource, seconds.
const SCRAPE: f64 = 15.0;

/// Points across a panel that is half of 1280 pixels wide, where it does not say how many it wants.
const POINTS: f64 = 600.0;

/// What one dashboard's queries gave.
#[derive(Default)]
pub struct Seen {
    /// Queries asked.
    pub queries: usize,
    /// Time that they took together.
    pub took: Duration,
    /// Answers by panel and reference: `2A`.
    pub answers: BTreeMap<String, Value>,
    /// Targets without a series: panel, legend, query.
    pub empty: Vec<String>,
    /// The variables' values.
    pub variables: BTreeMap<String, String>,
}

pub struct Dashboard {
    json: Value,
    start: f64,
    end: f64,
    variables: BTreeMap<String, String>,
}

impl Dashboard {
    /// A checked-in dashboard over a time range, with variables that a link has set.
    pub fn open(uid: &str, start: f64, end: f64, given: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../dashboards/json/{uid}.json"));
        let json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let variables = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { json, start, end, variables }
    }

    /// Asks everything that Grafana would: variables in order, annotations, panels.
    pub fn ask(mut self, prometheus: &Prometheus) -> Seen {
        let mut seen = Seen::default();
        for variable in self.json["templating"]["list"].as_array().into_iter().flatten().cloned().collect::<Vec<_>>() {
            if variable["type"] == "query" {
                let begun = Instant::now();
                self.resolve(prometheus, &variable);
                seen.took += begun.elapsed();
                seen.queries += 1;
            }
        }
        for annotation in self.json["annotations"]["list"].as_array().into_iter().flatten() {
            self.one(prometheus, &mut seen, annotation, &format!("annotation {}", annotation["name"]), (1.0, POINTS));
        }
        for panel in self.json["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let name = format!("{}{}", panel["id"], target["refId"].as_str().unwrap());
                let step = if target["interval"] == "1s" { 1.0 } else { SCRAPE };
                let points = panel["maxDataPoints"].as_f64().unwrap_or(POINTS);
                self.one(prometheus, &mut seen, target, &name, (step, points));
            }
        }
        seen.variables = self.variables;
        seen
    }

    fn one(&self, prometheus: &Prometheus, seen: &mut Seen, target: &Value, name: &str, (scrape, points): (f64, f64)) {
        let expr = target["expr"].as_str().unwrap();
        // A step that a person would choose, at least the least one.
        let wanted = (self.end - self.start) / points;
        let step = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0]
            .into_iter()
            .find(|step| *step >= wanted.max(scrape))
            .unwrap_or(86_400.0);
        let query = self.expand(expr, step, scrape);
        let begun = Instant::now();
        let answer = if target["instant"] == true {
            prometheus.query(&query, Some(self.end))
        } else {
            let (start, end) = ((self.start / step).floor() * step, (self.end / step).floor() * step);
            prometheus.query_range(&query, start, end, step)
        };
        seen.took += begun.elapsed();
        seen.queries += 1;
        assert_eq!(answer["status"], "success", "{name}: {query}: {answer}");
        for remarks in ["warnings", "infos"] {
            assert!(answer[remarks].is_null(), "{name}: {query}: {}", answer[remarks]);
        }
        if answer["data"]["result"].as_array().unwrap().is_empty() {
            seen.empty.push(format!("{name} {} {query}", target["legendFormat"].as_str().unwrap_or_default()));
        }
        seen.answers.insert(name.to_owned(), answer);
    }

    fn expand(&self, text: &str, step: f64, scrape: f64) -> String {
        let mut text = text.to_owned();
        let own = [
            ("__rate_interval", format!("{}s", (step + scrape).max(4.0 * scrape))),
            ("__interval", format!("{step}s")),
            ("__range", format!("{}s", (self.end - self.start).round())),
        ];
        for (name, value) in own {
            text = text.replace(&format!("${name}"), &value);
        }
        // Longer names first: one may begin with another.
        let mut names: Vec<_> = self.variables.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in names {
            text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        }
        assert!(!text.contains('$'), "nothing stands for a variable in {text}");
        text
    }

    fn resolve(&mut self, prometheus: &Prometheus, variable: &Value) {
        let name = variable["name"].as_str().unwrap();
        if self.variables.contains_key(name) {
            return;
        }
        let query = self.expand(variable["query"]["query"].as_str().unwrap(), 1.0, SCRAPE);
        let inside = |function: &str| query.strip_prefix(function).and_then(|rest| rest.strip_suffix(')'));
        let value = if let Some((selector, label)) = inside("label_values(").and_then(|rest| rest.rsplit_once(", ")) {
            let answer = prometheus.series(selector, self.start, self.end);
            assert!(answer["warnings"].is_null() && answer["infos"].is_null(), "{query}: {answer}");
            let found = answer["data"].as_array().unwrap_or_else(|| panic!("{query}: {answer}"));
            let mut values: Vec<&str> = found.iter().filter_map(|series| series[label].as_str()).collect();
            values.sort_unstable();
            (*values.first().unwrap_or_else(|| panic!("{name}: {query} gives nothing"))).to_owned()
        } else {
            let query = inside("query_result(").unwrap_or_else(|| panic!("{query} is of no kind that is known here"));
            let answer = prometheus.query(query, Some(self.end));
            let value = answer["data"]["result"][0]["value"][1].as_str().unwrap_or_else(|| panic!("{query}: {answer}"));
            assert_eq!(variable["regex"], "/ (-?[0-9]+) /");
            value.to_owned()
        };
        let all = variable["includeAll"] == true;
        let value = if all { variable["allValue"].as_str().unwrap().to_owned() } else { value };
        self.variables.insert(name.to_owned(), value);
    }
}
