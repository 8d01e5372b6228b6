//! The whole router over TCP, on a real store: what a client sends and what it gets, byte for byte.

mod api;
mod client;
mod legacy;
mod limits;
mod safety;
