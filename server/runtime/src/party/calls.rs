//! Which room waits for which other room, so that no circle of rooms waits for itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Result, RoomKey};
use crate::error::Error;

/// Which room waits for which. A call that would close a circle is refused, because every room in it would wait for ever.
#[derive(Default)]
pub(super) struct Calls(Mutex<CallGraph>);

#[derive(Default)]
struct CallGraph {
    /// The rooms that each room waits for.
    waits_for: HashMap<RoomKey, Vec<RoomKey>>,
    /// Number of running calls, including those of gatekeepers and programs.
    under_way: usize,
}

impl Calls {
    pub(super) fn enter(&self, caller: Option<&RoomKey>, target: &RoomKey, limit: usize) -> Result<Call<'_>> {
        let mut graph = self.graph();
        if graph.under_way >= limit {
            return Err(Error::TooManyCalls);
        }
        if let Some(caller) = caller {
            let mut chain = vec![target.clone()];
            if graph.leads_to(caller, &mut chain) {
                let chain: Vec<_> = [caller].into_iter().chain(&chain).map(ToString::to_string).collect();
                return Err(Error::CallCycle(chain.join(" → ")));
            }
            graph.waits_for.entry(caller.clone()).or_default().push(target.clone());
        }
        graph.under_way += 1;
        Ok(Call { calls: self, caller: caller.cloned(), target: target.clone() })
    }

    fn graph(&self) -> MutexGuard<'_, CallGraph> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallGraph {
    /// Whether the last room of `chain` is `goal`, or waits for it directly or not. If so, `chain` then holds the rooms in
    /// between.
    fn leads_to(&self, goal: &RoomKey, chain: &mut Vec<RoomKey>) -> bool {
        let Some(last) = chain.last() else { return false };
        if last == goal {
            return true;
        }
        for next in self.waits_for.get(last).into_iter().flatten() {
            chain.push(next.clone());
            if self.leads_to(goal, chain) {
                return true;
            }
            chain.pop();
        }
        false
    }
}

/// A running call. It ends when this is dropped.
pub(super) struct Call<'a> {
    /// Where the call is noted.
    calls: &'a Calls,
    /// The room that waits, if the caller is a room.
    caller: Option<RoomKey>,
    /// The room that it waits for.
    target: RoomKey,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut graph = self.calls.graph();
        graph.under_way -= 1;
        let Some(caller) = self.caller.take() else { return };
        if let Some(targets) = graph.waits_for.get_mut(&caller) {
            if let Some(idx) = targets.iter().position(|target| *target == self.target) {
                targets.swap_remove(idx);
            }
            if targets.is_empty() {
                graph.waits_for.remove(&caller);
            }
        }
    }
}
