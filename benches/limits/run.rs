//! How the benches beside the code run: short, so that a file takes seconds.

use std::time::Duration;

use criterion::Criterion;

/// Criterion as the benches use it, changed by what the command line says.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args()
}

/// Whether figures are wanted; a test run only shows that everything works, on less.
#[allow(dead_code, reason = "some benches are as small as they can be")]
pub(crate) fn is_measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
