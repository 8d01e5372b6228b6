//! Rules that can be left out on purpose. Nothing but the simulator compiles this in.

/// A rule that the simulator has the core leave out, to see that it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// What a reply found is taken as new, although newer things are known.
    OlderAnswerBelieved,
    /// A claim that is answered under a later session starts its command.
    SessionChangeForgotten,
    /// A run record that names this worker's session is started, however it was seen.
    ReadBackStarted,
    /// A kill request is compared with the present token of a run.
    KillComparesToken,
    /// A session counts as gone although the followed changes may not have shown it yet.
    AbsenceStampedEarly,
    /// The next move of a cursor drops the skipped stretches in it.
    SkipsNotCarried,
    /// A claim that started nothing is kept.
    NothingGivenBack,
    /// A run of a former incarnation goes on.
    IncarnationForgotten,
    /// News of the tree are not taken in while the worker ends.
    DeafWhileEnding,
    /// A job that waits for a place loses its turn when its slot changes.
    PlaceInLineLost,
    /// A job is run whatever it needs.
    NeedsIgnored,
}
