//! What operators are told of the cluster.

use std::{collections::BTreeMap, time::Instant};

use http::{HeaderValue, header, request::Parts};
use serde::Serialize;

use super::{Cluster, name};
use crate::party::{Response, Result, json};

/// How the cluster is, for operators.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    connected: bool,
    peers: Vec<PeerReport>,
    frames_lost: u64,
    refreshes_asked: u64,
    frames_refused: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerReport {
    node: String,
    seconds_since_heard: f64,
    pages: usize,
}

impl Cluster {
    /// Why counts are not what they should be.
    pub(crate) fn trouble(&self) -> Option<String> {
        let since = self.state().away_since?;
        Some(format!(
            "the cluster's NATS server has not been reached for {} s: viewers on other machines do not count. See --cluster",
            since.elapsed().as_secs()
        ))
    }

    /// What operators are told of the cluster: the answer to `GET /clusterz`.
    pub(crate) fn answer(&self, request: &Parts) -> Option<Result<Response>> {
        if request.uri.path() != "/clusterz" {
            return None;
        }
        Some(json(&self.report()).map(|mut response| {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }))
    }

    fn report(&self) -> Report {
        let state = self.state();
        let peers = state.member.peers(Instant::now()).map(|(node, heard, pages)| PeerReport {
            node: name(node),
            seconds_since_heard: heard.as_secs_f64(),
            pages,
        });
        let tallies = &state.member.tallies;
        Report {
            connected: state.away_since.is_none(),
            peers: peers.collect(),
            frames_lost: tallies.lost,
            refreshes_asked: tallies.asked,
            frames_refused: tallies.refused.iter().map(|(reason, times)| (format!("{reason:?}"), *times)).collect(),
        }
    }
}
