//! Cursors: where the next page begins, bound to the caller and the request, and signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use ucap_authz::Caller;
use ucap_core::{Error, ErrorKind, Redacted, Result};

use crate::datastore::SortValue;
use crate::query::SearchRequest;

/// Bytes of the signature: BLAKE3 in keyed mode.
const SIGNATURE: usize = 32;
/// The longest text or key that a cursor holds as it is, in bytes.
const LONGEST_VALUE: usize = 512;
/// No cursor of ours is longer.
const MAX_CURSOR: usize = 64 << 10;

/// The last hit of the page before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// In ranked modes, the bits of its score.
    #[serde(rename = "s")]
    pub(crate) score: Option<u32>,
    /// In mode filter, its sort values.
    #[serde(rename = "k")]
    pub(crate) sort: Vec<Mark>,
    /// The datasource it is in.
    #[serde(rename = "d")]
    pub(crate) datasource: String,
    /// Names that datasource's generation ([`Cursors::generation`]): one of the same name is another one.
    #[serde(rename = "g")]
    pub(crate) generation: String,
    /// Its id.
    #[serde(rename = "i")]
    pub(crate) id: String,
    /// In ranked modes, the hits given so far.
    #[serde(rename = "n")]
    pub(crate) given: usize,
}

/// A sort value in a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mark {
    /// As it is.
    #[serde(rename = "v")]
    Value(SortValue),
    /// A long one by its BLAKE3, so that a cursor stays short whatever it is sorted by: the next page reads it from the record.
    #[serde(rename = "h")]
    Digest([u8; 32]),
}

impl Mark {
    pub(crate) fn new(value: &SortValue) -> Self {
        let (kind, bytes) = match value {
            SortValue::Text(text) => ("text", text.as_bytes()),
            SortValue::Bytes(bytes) => ("bytes", bytes.as_slice()),
            SortValue::Missing | SortValue::Integer(_) | SortValue::Float(_) => return Self::Value(value.clone()),
        };
        if bytes.len() <= LONGEST_VALUE {
            return Self::Value(value.clone());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind.as_bytes()).update(bytes);
        Self::Digest(hasher.finalize().into())
    }
}

/// Signs and reads cursors.
#[derive(Debug)]
pub(crate) struct Cursors(Redacted<[u8; 32]>);

/// The one answer to every cursor that is not the caller's for this request.
pub(crate) fn refused() -> Error {
    let message = "the cursor is not one of yours for this request; begin again without cursor";
    Error::new(ErrorKind::InvalidCursor, message).with_param("cursor")
}

impl Cursors {
    pub(crate) fn new(key: Redacted<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(crate) fn write(&self, caller: &Caller, request: &SearchRequest, position: &Position) -> Result<String> {
        let body = serde_json::to_vec(position)
            .map_err(|cause| Error::internal("a cursor cannot be written").with_source(cause))?;
        let mut bytes = self.signature(caller, request, &body).as_bytes().to_vec();
        bytes.extend_from_slice(&body);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a cursor of this caller and this request.
    ///
    /// # Errors
    /// `InvalidCursor` for any other.
    pub(crate) fn read(&self, caller: &Caller, request: &SearchRequest) -> Result<Option<Position>> {
        let Some(text) = &request.cursor else { return Ok(None) };
        if text.len() > MAX_CURSOR {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (signature, body) = bytes.split_at_checked(SIGNATURE).ok_or_else(refused)?;
        let signature: [u8; SIGNATURE] = signature.try_into().map_err(|_| refused())?;
        // BLAKE3's own comparison takes the same time wherever they differ.
        if blake3::Hash::from_bytes(signature) != self.signature(caller, request, body) {
            return Err(refused());
        }
        serde_json::from_slice(body).map(Some).map_err(|_| refused())
    }

    /// A name for a generation that tells nothing: the number itself counts changes that the caller may not see.
    pub(crate) fn generation(&self, datasource: &str, generation: u64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(b"generation").update(&generation.to_le_bytes()).update(datasource.as_bytes());
        let mut name = [0; 12];
        hasher.finalize_xof().fill(&mut name);
        URL_SAFE_NO_PAD.encode(name)
    }

    fn signature(&self, caller: &Caller, request: &SearchRequest, body: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(self.0.expose());
        hasher.update(&caller.binding()).update(&fingerprint(request)).update(body);
        hasher.finalize()
    }
}

/// All of the request but limit, cursor and explain.
fn fingerprint(request: &SearchRequest) -> [u8; 32] {
    let SearchRequest {
        query,
        mode,
        filter,
        domains,
        datasources,
        sort,
        withdrawn,
        vector,
        explain: _,
        limit: _,
        cursor: _,
        partial,
    } = request;
    let query = query.as_deref().filter(|query| !query.is_empty());
    let filter = filter.as_ref().map(crate::filter::Filter::canonical);
    let vector: Option<Vec<u32>> = vector.as_ref().map(|vector| vector.iter().map(|x| x.to_bits()).collect());
    let text = format!(
        "{query:?} {mode:?} {filter:?} {domains:?} {datasources:?} {sort:?} {withdrawn:?} {vector:?} {partial:?}"
    );
    *blake3::hash(text.as_bytes()).as_bytes()
}
