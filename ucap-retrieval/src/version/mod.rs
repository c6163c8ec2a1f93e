//! Version ranges in any SQL: an order-preserving byte key per ecosystem.
//!
//! "Which advisories affect log4j-core 2.14.1" is a comparison in the package ecosystem's own order. Each ordered
//! ecosystem turns a version into a [`VersionKey`]: `a < b` in that order exactly when `key(a) < key(b)` as bytes, and
//! equal versions have equal keys. So the question becomes `low <= key AND (high IS NULL OR key < high)`, a plain
//! indexed comparison in every SQL engine.
//!
//! - `semver`: npm, crates.io, Go, Bitnami ([SemVer 2.0.0](https://semver.org/spec/v2.0.0.html))
//! - `pep440`: PyPI ([PEP 440](https://peps.python.org/pep-0440/))
//! - `maven`: Maven ([version order specification](https://maven.apache.org/pom.html#version-order-specification),
//!   `ComparableVersion`)
//! - `fallback`: CVE, CISA-KEV, node, ruby-engine (a natural order of our own, described there)
//! - `interval`: the `events` of an [OSV](https://ossf.github.io/osv-schema/) range as half-open intervals of keys
//!
//! Every key is self-delimiting: no key is a proper prefix of another one's, so a key may be extended without reaching
//! its neighbour. What the keys promise is held to the reference libraries by committed tables of facts,
//! `testdata/*.tsv`, which `xtask/oracle/versions.py` makes. Whoever changes a key's bytes raises [`KEY_REVISION`], and
//! stored keys are derived anew.

mod ecosystem;
mod encode;
mod fallback;
mod interval;
mod maven;
mod pep440;
mod semver;

#[cfg(test)]
mod tests;

use std::fmt;

pub use ecosystem::Ecosystem;
pub use interval::{Event, Interval, exact, intervals};

/// The revision of all key encodings together, for a datasource's manifest: another one means that stored keys are
/// derived anew.
pub const KEY_REVISION: u32 = 1;

/// A version's place in its ecosystem's order. Keys of one ecosystem compare bytewise; keys of two ecosystems mean
/// nothing to each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey(Vec<u8>);

impl VersionKey {
    /// The bytes to store and to compare.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to store and to compare, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for VersionKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionKey(")?;
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

const NAMES: &str =
    "use a name of the OSV schema's list (PyPI, npm, Maven, Debian:12 …), or CVE, CISA-KEV, node, ruby-engine";

/// Why there is no [`Ecosystem`] or no [`VersionKey`]. Each message names the thing and says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The name is not on the fixed list. The hint is the name that differs in case alone, if there is one.
    #[error("unknown ecosystem `{name}`: {}", hint.map_or(NAMES.to_owned(), |hint| format!("write `{hint}`")))]
    UnknownEcosystem {
        /// The name as given.
        name: String,
        /// The known name that was probably meant.
        hint: Option<&'static str>,
    },
    /// The ecosystem is known and its records load, but ucap has no version order for it.
    #[error("versions of ecosystem `{ecosystem}` have no order here: filter by package, without a version")]
    Unsupported {
        /// The ecosystem's name.
        ecosystem: &'static str,
    },
    /// The ecosystem has an order, and this is not a version in it.
    #[error("`{version}` is not a version of ecosystem `{ecosystem}`: write it as {expected}")]
    Unparsable {
        /// The ecosystem's name.
        ecosystem: &'static str,
        /// The version as given.
        version: String,
        /// What a version looks like there.
        expected: &'static str,
    },
}
