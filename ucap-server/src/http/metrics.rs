//! Counters, in Prometheus' text form. Labels are route templates, never what callers wrote: a metric names no data.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;

/// Upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Default, Clone)]
struct Durations {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// What is counted. Bounded by the number of routes, methods and statuses.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Durations>>,
    connections: AtomicI64,
}

/// Counts a connection while it is there.
pub(super) struct Connection<'a>(&'a Metrics);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(super) fn connected(&self) -> Connection<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connection(self)
    }

    pub(super) fn answered(&self, method: &Method, route: &'static str, status: StatusCode, took: Duration) {
        const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        *self.requests.lock().entry((route, method, status.as_u16())).or_default() += 1;
        let mut durations = self.durations.lock();
        let durations = durations.entry(route).or_default();
        let seconds = took.as_secs_f64();
        durations.count += 1;
        durations.seconds += seconds;
        for (bucket, bound) in durations.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// The text form, with `gauges` (name, help, value) besides.
    pub(super) fn render(&self, gauges: &[(&str, &str, f64)]) -> String {
        let mut text = String::new();
        header(&mut text, "ucap_http_requests_total", "counter", "Requests answered.");
        for ((route, method, status), count) in &*self.requests.lock() {
            let _ = writeln!(
                text,
                "ucap_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
            );
        }
        header(&mut text, "ucap_http_request_duration_seconds", "histogram", "Time to the answer.");
        for (route, durations) in &*self.durations.lock() {
            for (count, bound) in durations.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(
                    text,
                    "ucap_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {count}"
                );
            }
            let Durations { count, seconds, .. } = durations;
            let _ =
                writeln!(text, "ucap_http_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "ucap_http_request_duration_seconds_sum{{route=\"{route}\"}} {seconds}");
            let _ = writeln!(text, "ucap_http_request_duration_seconds_count{{route=\"{route}\"}} {count}");
        }
        let connections = self.connections.load(Ordering::Relaxed) as f64;
        let own = [("ucap_http_connections", "Open connections.", connections)];
        for (name, help, value) in own.iter().chain(gauges) {
            header(&mut text, name, "gauge", help);
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
