//! The cluster's reason for `/readyz`, and its numbers for `/metrics`.

use std::time::Instant;

use super::{Cluster, name};
use crate::Measure;

impl Cluster {
    /// Why counts may be wrong. `None` if the NATS server can be reached.
    pub(crate) fn trouble(&self) -> Option<String> {
        let since = self.state().away_since?;
        Some(format!(
            "the cluster's NATS server has not been reached for {} s: viewers on other machines do not count. See --cluster",
            since.elapsed().as_secs()
        ))
    }

    /// The numbers of the cluster. A node is a label only while it is heard, and the number of nodes has a limit.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let state = self.state();
        let peers: Vec<_> =
            state.member.peers(Instant::now()).map(|(node, heard, pages)| (name(node), heard, pages)).collect();
        let silence = peers.iter().map(|(node, heard, _)| (node.clone(), heard.as_secs_f64()));
        let pages = peers.iter().map(|(node, _, pages)| (node.clone(), *pages as f64));
        let tallies = &state.member.tallies;
        let refused = tallies.refused.iter().map(|(reason, times)| (reason.word().to_owned(), *times as f64));
        let connected = f64::from(u8::from(state.away_since.is_none()));
        vec![
            Measure::gauge("cluster_connected", "1 if a NATS server is reached, else 0", connected),
            Measure::gauge("cluster_peers", "Other nodes whose viewers count", peers.len() as f64),
            Measure::gauge("cluster_peer_silence_seconds", "Seconds since another node was heard", 0.0)
                .by("node", silence),
            Measure::gauge("cluster_peer_pages", "Pages with viewers on another node", 0.0).by("node", pages),
            Measure::total("cluster_changes_told", "Changes told to the other nodes", tallies.told),
            Measure::total("cluster_frames_lost", "Frames of other nodes that did not come", tallies.lost),
            Measure::total("cluster_refreshes_asked", "Times that all nodes were asked for all counts", tallies.asked),
            Measure::total("cluster_frames_refused", "Frames that were not taken, by reason", 0).by("reason", refused),
        ]
    }
}
