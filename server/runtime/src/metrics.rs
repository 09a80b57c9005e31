//! The metrics of the server, for Prometheus.
//!
//! Labels are words of this file and names of parties, so there are few series. A label is never a page, a site or an address.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use crate::measures::{Measured, Measures};

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// The beginning of our metrics' names. It is one word, as the conventions require. With an underscore it would contain
/// `counter`, which is a type of metric.
const PREFIX: &str = "connectioncounter";

/// All metrics of a server.
pub(crate) struct Metrics {
    /// All metrics, with their names and texts.
    registry: Registry,
    /// Answers to requests, by the class of their status.
    requests: Family<Label, Counter>,
    /// Handshakes that became a WebSocket.
    websockets_opened: Counter,
    /// Refusals because of a limit.
    refusals: Family<Label, Counter>,
    /// The values that are read each time somebody asks.
    state: Gauges,
    /// The values of the process that are read each time somebody asks.
    process: ProcessGauges,
}

/// What the server holds at one moment.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// TCP connections of all kinds.
    pub(crate) connections: usize,
    /// The limit of TCP connections.
    pub(crate) connections_limit: usize,
    /// How many of them are WebSockets.
    pub(crate) websockets: usize,
    /// Rooms in memory of each party.
    pub(crate) rooms: Vec<(&'static str, usize)>,
    /// Values that wait for the disk.
    pub(crate) storage_pending: usize,
    /// Whether the disk takes writes.
    pub(crate) storage_takes_writes: bool,
    /// Whether `/readyz` answers 200.
    pub(crate) is_ready: bool,
}

#[derive(Default)]
struct Gauges {
    /// See [`State`].
    connections: Gauge,
    /// See [`State`].
    connections_limit: Gauge,
    /// See [`State`].
    websockets: Gauge,
    /// See [`State`].
    rooms: Family<Label, Gauge>,
    /// See [`State`].
    storage_pending: Gauge,
    /// 1 if the disk takes writes, else 0; see [`State`].
    storage_writable: Gauge,
    /// 1 if the server is ready, else 0; see [`State`].
    ready: Gauge,
}

/// The metrics that every program has, under their usual names.
#[derive(Default)]
struct ProcessGauges {
    /// Processor time in the program and in the kernel.
    cpu_seconds: Counter<f64, AtomicU64>,
    /// Memory of the process.
    resident_bytes: Gauge,
    /// Open files, including sockets.
    open_files: Gauge,
    /// The limit of open files.
    max_files: Gauge,
    /// The start time, in seconds since 1970.
    started_at: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let (requests, websockets_opened, refusals) = (Family::default(), Counter::default(), Family::default());
        let (state, process) = (Gauges::default(), ProcessGauges::default());
        let ours = registry.sub_registry_with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "Version of the server", version);
        ours.register("requests", "Answers to HTTP requests, by the class of their status", requests.clone());
        ours.register("websockets_opened", "WebSockets opened", websockets_opened.clone());
        ours.register("refusals", "Connections and requests refused because of a limit, by reason", refusals.clone());
        ours.register("connections", "Open TCP connections", state.connections.clone());
        ours.register("connections_limit", "Limit of TCP connections", state.connections_limit.clone());
        ours.register("websockets", "Open WebSockets", state.websockets.clone());
        ours.register("rooms", "Rooms in memory, by party", state.rooms.clone());
        ours.register("storage_pending_values", "Values that wait for the disk", state.storage_pending.clone());
        ours.register("storage_writable", "1 if the disk takes writes, else 0", state.storage_writable.clone());
        ours.register("ready", "1 if the server accepts new readers, else 0", state.ready.clone());
        let process_registry = registry.sub_registry_with_prefix("process");
        process.register(process_registry);
        Self { registry, requests, websockets_opened, refusals, state, process }
    }

    /// Adds the program's own numbers.
    pub(crate) fn with(mut self, measures: Vec<Measures>) -> Self {
        for measures in measures {
            self.registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(Measured(measures)));
        }
        self
    }

    /// Counts an answer to a request.
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = match status.as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[("status", class)]).inc();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.websockets_opened.inc();
        }
    }

    /// Counts a refusal because of a limit.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// All metrics in the OpenMetrics format, or in Prometheus' older format.
    pub(crate) fn write(&self, state: &State, in_open_metrics: bool) -> String {
        self.state.set(state);
        self.process.set();
        let mut written = String::new();
        let encoded = if in_open_metrics {
            text::encode(&mut written, &self.registry)
        } else {
            prometheus_text::encode(&mut written, &self.registry)
        };
        encoded.expect("a string takes everything");
        written
    }
}

impl Gauges {
    fn set(&self, state: &State) {
        self.connections.set(whole(state.connections));
        self.connections_limit.set(whole(state.connections_limit));
        self.websockets.set(whole(state.websockets));
        for &(party, rooms) in &state.rooms {
            self.rooms.get_or_create(&[("party", party)]).set(whole(rooms));
        }
        self.storage_pending.set(whole(state.storage_pending));
        self.storage_writable.set(state.storage_takes_writes.into());
        self.ready.set(state.is_ready.into());
    }
}

impl ProcessGauges {
    fn register(&self, registry: &mut Registry) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.started_at.set(started.as_secs_f64());
        registry.register_with_unit("start_time", "Start time", Unit::Seconds, self.started_at.clone());
        registry.register("max_fds", "Limit of open files", self.max_files.clone());
        // The other values come from a file system that only Linux has.
        if cfg!(target_os = "linux") {
            registry.register_with_unit("cpu", "Processor time", Unit::Seconds, self.cpu_seconds.clone());
            registry.register_with_unit("resident_memory", "Memory", Unit::Bytes, self.resident_bytes.clone());
            registry.register("open_fds", "Open files", self.open_files.clone());
        }
    }

    fn set(&self) {
        if let Ok((files, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
            self.max_files.set(i64::try_from(files).unwrap_or(i64::MAX));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(whole(open.count()));
        }
        if let Some(kilobytes) =
            std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_kilobytes)
        {
            self.resident_bytes.set(kilobytes.saturating_mul(1024));
        }
        if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `VmRSS` of `/proc/self/status`.
fn resident_kilobytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time of `/proc/self/stat`. The program's name, in brackets, may contain anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    /// Linux always uses this number for programs, whatever the kernel itself uses.
    const TICKS_PER_SECOND: f64 = 100.0;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let mut ticks = || times.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Measure;

    fn written(metrics: &Metrics, state: &State) -> String {
        metrics.write(state, true)
    }

    #[test]
    fn metrics_are_written_in_the_openmetrics_format() {
        let measures = || {
            let by_node = [("a".to_owned(), 0.5), ("b".to_owned(), 2.0)];
            vec![Measure::total("gaps", "Gaps", 3), Measure::gauge("silence", "Silence", 0.0).by("node", by_node)]
        };
        let metrics = Metrics::new().with(vec![Box::new(measures)]);
        metrics.answered(StatusCode::SWITCHING_PROTOCOLS);
        metrics.answered(StatusCode::TOO_MANY_REQUESTS);
        metrics.refused("address");
        let state = State { websockets: 1, rooms: vec![("page", 7)], storage_takes_writes: true, ..State::default() };
        let text = written(&metrics, &state);
        for line in [
            "connectioncounter_requests_total{status=\"1xx\"} 1",
            "connectioncounter_requests_total{status=\"4xx\"} 1",
            "connectioncounter_websockets_opened_total 1",
            "connectioncounter_refusals_total{reason=\"address\"} 1",
            "connectioncounter_websockets 1",
            "connectioncounter_rooms{party=\"page\"} 7",
            "connectioncounter_storage_writable 1",
            "connectioncounter_ready 0",
            "connectioncounter_gaps_total 3.0",
            "connectioncounter_silence{node=\"b\"} 2.0",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("connectioncounter_build_info{version=") && text.ends_with("# EOF\n"), "{text}");
        // A room that is gone is set to 0 by the next state.
        let state = State { rooms: vec![("page", 0)], ..State::default() };
        assert!(written(&metrics, &state).contains("connectioncounter_rooms{party=\"page\"} 0"));
    }

    #[test]
    fn memory_and_processor_time_are_read_from_proc() {
        assert_eq!(resident_kilobytes("Name:\tx\nVmRSS:\t   5120 kB\n"), Some(5120));
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }
}
