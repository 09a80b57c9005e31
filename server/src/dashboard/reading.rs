//! The server's own numbers, read from the metrics that Prometheus would get.

use crate::party::Status;

/// The current metrics, and the faults and refusals for the operator.
pub(super) struct Reading<'a> {
    status: &'a Status,
}

impl<'a> Reading<'a> {
    pub(super) fn new(status: &'a Status) -> Self {
        Self { status }
    }

    /// The value of one of our metrics without labels.
    pub(super) fn value(&self, name: &str) -> Option<u64> {
        self.rows(name).find(|(labels, _)| labels.is_empty()).map(|(_, value)| value)
    }

    /// The labels and values of one of our metrics, with labels as they are written: `reason="rooms"`.
    pub(super) fn rows(&self, name: &str) -> impl Iterator<Item = (&'a str, u64)> {
        let wanted = format!("connectioncounter_{name}");
        let lines = self.status.metrics.lines();
        lines.filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = match series.strip_prefix(wanted.as_str())? {
                "" => "",
                labels => labels.strip_prefix('{')?.strip_suffix('}')?,
            };
            Some((labels, value.parse().ok()?))
        })
    }

    /// The names and values of all our metrics with this prefix.
    pub(super) fn all(&self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let wanted = format!("connectioncounter_{prefix}");
        self.status.metrics.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            series.starts_with(wanted.as_str()).then(|| (series.trim_start_matches("connectioncounter_"), value))
        })
    }

    /// What is wrong, in sentences.
    pub(super) fn faults(&self) -> &'a [String] {
        &self.status.faults
    }

    /// The last log lines about refusals and faults, and how often each happened.
    pub(super) fn told(&self) -> &'a [(String, u64)] {
        &self.status.notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_their_names() {
        let metrics = "# HELP connectioncounter_rooms Rooms\nconnectioncounter_rooms{party=\"page\"} 3\n\
                       connectioncounter_rooms_x 9\nconnectioncounter_websockets 7\nconnectioncounter_cluster_peers 2\n# EOF\n";
        let status = Status { metrics: metrics.to_owned(), ..Status::default() };
        let reading = Reading::new(&status);
        assert_eq!(reading.rows("rooms").collect::<Vec<_>>(), [("party=\"page\"", 3)]);
        assert_eq!([reading.value("websockets"), reading.value("rooms"), reading.value("none")], [Some(7), None, None]);
        assert_eq!(reading.all("cluster_").collect::<Vec<_>>(), [("cluster_peers", "2")]);
    }
}
