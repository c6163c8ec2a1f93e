//! The package ecosystems: the defined list of the [OSV schema](https://ossf.github.io/osv-schema/#defined-ecosystems)
//! (1.7.5), and four names of our own for databases that have none there.

use std::{borrow::Cow, fmt};

use super::{VersionError, VersionKey, fallback, maven, pep440, semver};

/// A package ecosystem: what a package name means, and in which order its versions come. A suffix (`Debian:12`) is no
/// part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ecosystem(u8);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    SemVer,
    Go,
    Pep440,
    Maven,
    Fallback,
    None,
}

const TABLE: &[(&str, Order)] = &[
    ("AlmaLinux", Order::None),
    ("Alpaquita", Order::None),
    ("Alpine", Order::None),
    ("Android", Order::None),
    ("Azure Linux", Order::None),
    ("BellSoft Hardened Containers", Order::None),
    ("Bioconductor", Order::None),
    ("Bitnami", Order::SemVer),
    ("CISA-KEV", Order::Fallback),
    ("CRAN", Order::None),
    ("CVE", Order::Fallback),
    ("Chainguard", Order::None),
    ("CleanStart", Order::None),
    ("ConanCenter", Order::None),
    ("Debian", Order::None),
    ("Docker Hardened Images", Order::None),
    ("Echo", Order::None),
    ("FreeBSD", Order::None),
    ("GHC", Order::None),
    ("GitHub Actions", Order::None),
    ("Go", Order::Go),
    ("Hackage", Order::None),
    ("Hex", Order::None),
    ("Julia", Order::None),
    ("Kubernetes", Order::None),
    ("Linux", Order::None),
    ("Mageia", Order::None),
    ("Maven", Order::Maven),
    ("MinimOS", Order::None),
    ("NuGet", Order::None),
    ("OSS-Fuzz", Order::None),
    ("Packagist", Order::None),
    ("Photon OS", Order::None),
    ("Pub", Order::None),
    ("PyPI", Order::Pep440),
    ("Red Hat", Order::None),
    ("Rocky Linux", Order::None),
    ("Root", Order::None),
    ("RubyGems", Order::None),
    ("SUSE", Order::None),
    ("SwiftURL", Order::None),
    ("TuxCare", Order::None),
    ("Ubuntu", Order::None),
    ("VSCode", Order::None),
    ("Wolfi", Order::None),
    ("crates.io", Order::SemVer),
    ("node", Order::Fallback),
    ("npm", Order::SemVer),
    ("opam", Order::None),
    ("openEuler", Order::None),
    ("openSUSE", Order::None),
    ("ruby-engine", Order::Fallback),
];

impl Ecosystem {
    /// Finds an ecosystem by its exact name, with or without a suffix (`Debian:12`, `Maven:https://maven.google.com`).
    ///
    /// # Errors
    ///
    /// [`VersionError::UnknownEcosystem`] for any other name.
    pub fn parse(name: &str) -> Result<Ecosystem, VersionError> {
        let base = match name.split_once(':') {
            Some((base, suffix)) if !suffix.is_empty() => base,
            _ => name,
        };
        Self::all().find(|ecosystem| ecosystem.name() == base).ok_or_else(|| VersionError::UnknownEcosystem {
            name: name.to_owned(),
            hint: Self::all().map(|ecosystem| ecosystem.name()).find(|known| known.eq_ignore_ascii_case(base)),
        })
    }

    /// All ecosystems, by name.
    pub fn all() -> impl Iterator<Item = Ecosystem> {
        (0u8..).take(TABLE.len()).map(Ecosystem)
    }

    /// The name, without a suffix.
    pub fn name(&self) -> &'static str {
        TABLE[usize::from(self.0)].0
    }

    /// The normal form in which two spellings of one package are equal: PyPI by
    /// [PEP 503](https://peps.python.org/pep-0503/#normalized-names), Packagist and NuGet in lower case, all others as
    /// they are.
    pub fn normalize_package<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.name() {
            "PyPI" => pep503(name),
            "Packagist" | "NuGet" if name.chars().any(char::is_uppercase) => Cow::Owned(name.to_lowercase()),
            _ => Cow::Borrowed(name),
        }
    }

    /// The version's place in the order of its ecosystem: `a < b` there exactly when `key(a) < key(b)`, and equal
    /// versions have equal keys. Linear in the length of the version. Maven alone has versions whose own order no key
    /// can follow: see [`Ecosystem::is_exact`].
    ///
    /// # Errors
    ///
    /// [`VersionError::Unsupported`] where the ecosystem has no order here, [`VersionError::Unparsable`] for what is no
    /// version of it.
    pub fn key(&self, version: &str) -> Result<VersionKey, VersionError> {
        let (key, expected) = match self.order() {
            Order::SemVer => (semver::key(version), semver::EXPECTED),
            Order::Go => (semver::go_key(version), semver::EXPECTED),
            Order::Pep440 => (pep440::key(version), pep440::EXPECTED),
            Order::Maven => (maven::key(version), maven::EXPECTED),
            Order::Fallback => (fallback::key(version), fallback::EXPECTED),
            Order::None => return Err(VersionError::Unsupported { ecosystem: self.name() }),
        };
        key.map(VersionKey).ok_or_else(|| VersionError::Unparsable {
            ecosystem: self.name(),
            version: version.to_owned(),
            expected,
        })
    }

    /// Whether versions have an order here; where not, [`Ecosystem::key`] answers [`VersionError::Unsupported`].
    pub fn is_ordered(&self) -> bool {
        self.order() != Order::None
    }

    /// Whether two versions for which this is true compare exactly as the ecosystem's own tools compare them. False for
    /// the odd versions of Maven, whose own order is not transitive, and in the fallback order, which is ours: an
    /// explanation (`why`) says so.
    pub fn is_exact(&self, version: &str) -> bool {
        match self.order() {
            Order::SemVer | Order::Go | Order::Pep440 => true,
            Order::Maven => maven::is_exact(version),
            Order::Fallback | Order::None => false,
        }
    }

    fn order(&self) -> Order {
        TABLE[usize::from(self.0)].1
    }
}

impl fmt::Debug for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ecosystem").field(&self.name()).finish()
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Lower case, and each run of `-`, `_`, `.` as one `-`.
fn pep503(name: &str) -> Cow<'_, str> {
    let is_separator = |c: char| matches!(c, '-' | '_' | '.');
    let normal = !name.contains("--") && !name.chars().any(|c| c.is_uppercase() || c == '_' || c == '.');
    if normal {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    let mut in_run = false;
    for c in name.chars() {
        if !is_separator(c) {
            out.extend(c.to_lowercase());
        } else if !in_run {
            out.push('-');
        }
        in_run = is_separator(c);
    }
    Cow::Owned(out)
}
