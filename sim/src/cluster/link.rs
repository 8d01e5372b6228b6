//! What becomes of a request between a node and the tree.

use std::time::Duration;

use model::JobName;

use super::World;
use crate::plan::What;
use crate::rng::Rng;
use crate::time::At;

/// How long the backend waits for an answer.
pub(super) const REQUEST: Duration = Duration::from_secs(5);

/// What becomes of one request, as far as the way is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// When it reaches the tree, if it does.
    pub(super) arrives: Option<At>,
    /// How long its reply takes, if it comes.
    pub(super) reply: Option<Duration>,
    /// When the caller is told that the tree is not available, unless the reply came before.
    pub(super) given_up: At,
}

impl World<'_> {
    /// Draws what becomes of a request about a job that is sent now, and is waited for as long as this.
    pub(super) fn way(&mut self, node: usize, job: Option<&JobName>, timeout: Duration) -> Way {
        let (now, plan, down) = (self.now, self.plan, self.tree_down > 0);
        let active = self.active.iter().map(|at| &plan.faults[*at]);
        let faults = active.filter(|fault| fault.what.node() == Some(node) || fault.what == What::TreeDown);
        let faults: Vec<_> = faults.collect();
        let Some(at) = self.nodes.get_mut(&node) else {
            return Way { arrives: None, reply: None, given_up: now + timeout };
        };
        let purpose = ["way", &node.to_string(), job.map_or("", JobName::as_str)];
        let rng = at.ways.entry(job.cloned()).or_insert_with(|| Rng::new(plan.seed, &purpose));
        let mut there = rng.millis(0..=2);
        let mut back = rng.millis(0..=2);
        let (mut lost, mut mute, mut given_up) = (false, false, now + timeout);
        for fault in faults {
            match fault.what {
                What::Slow { up_to, .. } => {
                    there += rng.millis(0..=up_to);
                    back += rng.millis(0..=up_to);
                }
                What::Lossy { percent, .. } => {
                    lost |= rng.percent(percent);
                    mute |= rng.percent(percent);
                }
                What::Late { percent, up_to, .. } if rng.percent(percent) => {
                    given_up = given_up.min(now + rng.millis(0..=400));
                    there = given_up.since(now) + rng.millis(0..=up_to);
                    mute = true;
                }
                What::CutOff { .. } | What::TreeDown => {
                    // What stands in a buffer gets through when the way is there again.
                    let over = (fault.at + fault.lasts).since(now) + rng.millis(1..=50);
                    there = there.max(over);
                    lost |= rng.percent(70);
                    if rng.percent(50) {
                        given_up = given_up.min(now + rng.millis(1..=300));
                        mute = true;
                    }
                }
                _ => {}
            }
        }
        if down && !lost {
            mute |= rng.percent(50);
        }
        let arrives = (!lost).then(|| now + there);
        Way { arrives, reply: (!mute).then_some(back), given_up }
    }

    /// Whether a node's connection to the tree carries anything.
    pub(super) fn is_reachable(&self, node: usize) -> bool {
        let cut = |at: &usize| self.plan.faults[*at].what == What::CutOff { node };
        self.tree_down == 0 && !self.active.iter().any(cut)
    }

    /// How much later than usual news come to a node.
    pub(super) fn lag(&mut self, node: usize) -> Duration {
        let mut most = 1;
        for at in &self.active {
            match self.plan.faults[*at].what {
                What::WatchLag { node: of, by } if of == node => most = most.max(by),
                What::Slow { node: of, up_to } if of == node => most = most.max(up_to),
                _ => {}
            }
        }
        let Some(node) = self.nodes.get_mut(&node) else { return Duration::ZERO };
        node.rng.millis(0..=most)
    }

    /// Whether a fault of this kind lasts now.
    pub(super) fn lasts(&self, is: impl Fn(&What) -> bool) -> bool {
        self.active.iter().any(|at| is(&self.plan.faults[*at].what))
    }
}
