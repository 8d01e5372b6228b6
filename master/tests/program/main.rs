//! `crontab-master`, the program, as far as it goes without servers.

mod arguments;
mod doors;
mod process;
