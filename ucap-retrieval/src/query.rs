//! What a caller may ask for.

use ucap_core::{Error, ErrorKind, Result};

use crate::filter::Filter;
use crate::record::MAX_COMPONENT;

/// The most hits of one page.
pub const MAX_LIMIT: usize = 1000;
/// The hits of a page when the request does not say.
pub const DEFAULT_LIMIT: usize = 10;
/// The longest query text, in bytes.
pub const MAX_QUERY_BYTES: usize = 8 << 10;

/// How records are found and ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// BM25 and vectors, fused by rank.
    #[default]
    Hybrid,
    /// BM25 alone.
    Lexical,
    /// Vectors alone.
    Vector,
    /// No ranking: everything that satisfies the filter, in a fixed order.
    Filter,
}

impl Mode {
    /// Reads the word.
    ///
    /// # Errors
    /// `InvalidInput` with param `mode`.
    pub fn parse(word: &str) -> Result<Self> {
        [Self::Hybrid, Self::Lexical, Self::Vector, Self::Filter]
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .ok_or_else(|| {
                Error::invalid(
                    "mode",
                    format!("mode `{word}` is unknown; modes are hybrid, lexical, vector and filter"),
                )
            })
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::Vector => "vector",
            Self::Filter => "filter",
        }
    }
}

/// Whether withdrawn records take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Withdrawn {
    /// They do not.
    #[default]
    Exclude,
    /// They do.
    Include,
    /// Only they do.
    Only,
}

impl Withdrawn {
    /// Reads the word.
    ///
    /// # Errors
    /// `InvalidInput` with param `withdrawn`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "exclude" => Ok(Self::Exclude),
            "include" => Ok(Self::Include),
            "only" => Ok(Self::Only),
            _ => Err(Error::invalid(
                "withdrawn",
                format!("withdrawn `{word}` is unknown; write exclude, include or only"),
            )),
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exclude => "exclude",
            Self::Include => "include",
            Self::Only => "only",
        }
    }
}

/// One field to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The field.
    pub field: String,
    /// Whether the greatest comes first. A missing value comes last either way.
    pub descending: bool,
}

/// A search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SearchRequest {
    /// What is looked for; `None` and the empty text are no query.
    pub query: Option<String>,
    /// How.
    pub mode: Mode,
    /// Which records take part.
    pub filter: Option<Filter>,
    /// In which domains; `None` is all, an empty list none.
    pub domains: Option<Vec<String>>,
    /// In which datasources; `None` is all, an empty list none.
    pub datasources: Option<Vec<String>>,
    /// In which order; only with [`Mode::Filter`].
    pub sort: Vec<SortKey>,
    /// Whether withdrawn records take part.
    pub withdrawn: Withdrawn,
    /// The query's embedding, given instead of computed.
    pub vector: Option<Vec<f32>>,
    /// Whether hits say why they were found.
    pub explain: bool,
    /// Hits of a page, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Where the page begins: what the page before gave as `next`.
    pub cursor: Option<String>,
    /// Whether to answer without datasources that are being rebuilt.
    pub partial: bool,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            query: None,
            mode: Mode::default(),
            filter: None,
            domains: None,
            datasources: None,
            sort: Vec::new(),
            withdrawn: Withdrawn::default(),
            vector: None,
            explain: false,
            limit: DEFAULT_LIMIT,
            cursor: None,
            partial: false,
        }
    }
}

impl SearchRequest {
    /// A hybrid search for `query`.
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: Some(query.into()), ..Self::default() }
    }

    /// Everything that satisfies `filter`.
    pub fn filtered(filter: Filter) -> Self {
        Self { mode: Mode::Filter, filter: Some(filter), ..Self::default() }
    }

    /// Sets the mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the filter.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Sets the hits of a page.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Searches in these datasources only.
    #[must_use]
    pub fn with_datasources<S: Into<String>>(mut self, datasources: impl IntoIterator<Item = S>) -> Self {
        self.datasources = Some(datasources.into_iter().map(Into::into).collect());
        self
    }

    /// The query, if there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        self.query.as_deref().filter(|query| !query.is_empty())
    }

    /// Refuses what no search may ask.
    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(Error::invalid("limit", format!("limit {} is not between 1 and {MAX_LIMIT}", self.limit)));
        }
        if self.query.as_ref().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(Error::invalid("query", format!("query is longer than {MAX_QUERY_BYTES} bytes; shorten it")));
        }
        let ranked = self.mode != Mode::Filter;
        if !ranked && self.text().is_some() {
            return Err(Error::invalid("query", "mode filter takes no query; leave query out or choose another mode"));
        }
        if !ranked && self.vector.is_some() {
            return Err(Error::invalid("vector", "mode filter takes no vector; leave it out or choose another mode"));
        }
        if ranked && !self.sort.is_empty() {
            return Err(Error::invalid("sort", "sort goes with mode filter only; ranked modes sort by score"));
        }
        let has_query = self.text().is_some() || (self.mode == Mode::Vector && self.vector.is_some());
        if ranked && !has_query {
            return Err(Error::invalid(
                "query",
                format!("mode {} needs a query; give one or use mode filter", self.mode.as_str()),
            ));
        }
        if !self.vector.iter().flatten().all(|x| x.abs() <= MAX_COMPONENT) {
            return Err(Error::invalid("vector", "vector holds a number that is not between -10^9 and 10^9"));
        }
        if self.vector.as_ref().is_some_and(|vector| !vector.is_empty() && vector.iter().all(|x| *x == 0.0)) {
            return Err(Error::invalid("vector", "vector is all zeros: it has no direction to compare by"));
        }
        if self.mode == Mode::Lexical && self.vector.is_some() {
            return Err(Error::invalid("vector", "mode lexical takes no vector; leave it out or choose another mode"));
        }
        if self.sort.len() > 8 {
            return Err(Error::new(ErrorKind::InvalidInput, "sort names more than 8 fields").with_param("sort"));
        }
        Ok(())
    }
}
