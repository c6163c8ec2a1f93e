//! File descriptors: as many as the system gives, and no more open datasources than they suffice for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ucap_retrieval::backends::embedded::DESCRIPTORS;

use crate::platform::PlatformOptions;

/// Kept for connections, the catalog, the journal and the model; of a small limit, half of it.
const RESERVED: u64 = 512;

/// Raises this process's soft limit to the hard one and keeps `max_open` within it.
pub(crate) fn within_limit(mut options: PlatformOptions) -> PlatformOptions {
    let Some(limit) = raised(getrlimit(Resource::Nofile)) else { return options };
    let most = affordable(limit);
    if options.max_open > most {
        tracing::warn!(
            limit,
            max_open = most,
            wanted = options.max_open,
            "the limit of open files allows fewer open datasources than retrieval.max_open; raise it (ulimit -n, LimitNOFILE)"
        );
        options.max_open = most;
    } else {
        tracing::info!(limit, max_open = options.max_open, "open files");
    }
    options
}

/// The limit that holds now; `None` for none.
fn raised(held: Rlimit) -> Option<u64> {
    let soft = held.current?;
    if held.maximum.is_some_and(|hard| hard <= soft) {
        return Some(soft);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: held.maximum, maximum: held.maximum }) {
        Ok(()) => held.maximum,
        // Some systems name a hard limit that they do not give.
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files cannot be raised");
            Some(soft)
        }
    }
}

/// How many datasources may be open where `limit` files may.
fn affordable(limit: u64) -> usize {
    let rest = limit - RESERVED.min(limit / 2);
    usize::try_from(rest / DESCRIPTORS as u64).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_is_shared() {
        let cases = [(0, 1), (64, 2), (256, 11), (1024, 46), (4096, 325), (1 << 20, 95_278)];
        for (limit, most) in cases {
            assert_eq!(affordable(limit), most, "{limit}");
        }
    }
}
