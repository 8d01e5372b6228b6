//! The executor with real processes.

mod deaths;
mod ends;
mod fence;
mod host;
mod output;
mod pings;
mod starts;
