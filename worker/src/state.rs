//! Whether a worker is fit to work, for whoever watches over it.

/// What a worker needs. A part that is missing has a sentence that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// A registration that is renewed in time.
    pub session: Result<(), String>,
    /// All jobs are known, and news of them come in.
    pub tree: Result<(), String>,
    /// The process that runs the commands.
    pub executor: Result<(), String>,
}

impl State {
    pub(crate) fn starting() -> Self {
        let reading = "the job tree has not been read to its end yet".to_owned();
        Self { session: Ok(()), tree: Err(reading), executor: Ok(()) }
    }

    /// Nothing is missing.
    pub fn is_ready(&self) -> bool {
        self.session.is_ok() && self.tree.is_ok() && self.executor.is_ok()
    }
}
