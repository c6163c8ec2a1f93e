//! The ucap server.

use std::process::ExitCode;

/// Many small allocations from many threads are what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ucap_server::run_server(std::env::args_os())
}
