//! What retrieval keeps with a datasource in the catalog: its format, schema, language and embedding model.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use ucap_core::catalog::Datasource;
use ucap_core::{Error, ErrorKind, Result};

use crate::analysis::Language;
use crate::schema::{Format, Schema};

/// Where a datasource's vectors come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vectors {
    /// There are none: lexical and filter only.
    None,
    /// Made by this model.
    Model(String),
    /// Each record brings its own, of so many dimensions.
    External(String, usize),
}

/// The checked settings of a datasource.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What its records are.
    pub format: Format,
    /// Their fields.
    pub schema: Schema,
    /// How its text is stemmed.
    pub language: Language,
    /// Where its vectors come from.
    pub vectors: Vectors,
}

/// What the creator of a datasource may say about it, as it stands in the request.
#[derive(Debug, Clone, Default)]
pub struct NewSettings {
    /// `osv`, `records` or `documents`.
    pub format: String,
    /// For `records`.
    pub schema: Option<Json>,
    /// `en`, `es` or `auto`.
    pub language: Option<String>,
    /// `false` for no embedding.
    pub vectors: Option<bool>,
    /// A model's id, or `external/<name>`.
    pub embedding_model: Option<String>,
    /// Of an external model.
    pub dimensions: Option<u64>,
}

const MAX_DIMENSIONS: u64 = 16_384;

impl Settings {
    /// Checks what a creator said. `default_model` embeds where nothing else is said.
    ///
    /// # Errors
    /// `InvalidInput` or `Unsupported`, with the field as param.
    pub fn check(new: &NewSettings, default_model: &str) -> Result<Self> {
        let format = Format::parse(&new.format).map_err(|error| error.with_param("format"))?;
        let schema = match (format, &new.schema) {
            (Format::Osv, None) => Schema::osv(),
            (Format::Documents, None) => Schema::documents(),
            (Format::Records, Some(schema)) => Schema::declared(schema)?,
            (Format::Records, None) => {
                return Err(Error::invalid("schema", "format records needs a schema: {\"fields\":{…},\"text\":[…]}"));
            }
            (_, Some(_)) => {
                return Err(Error::invalid(
                    "schema",
                    format!("format {} has its own schema; leave schema out", new.format),
                ));
            }
        };
        let language = match new.language.as_deref() {
            None | Some("auto") => Language::Auto,
            Some("en") => Language::English,
            Some("es") => Language::Spanish,
            Some(other) => {
                return Err(Error::invalid("language", format!("language `{other}` is unknown; write en, es or auto")));
            }
        };
        let vectors = match (new.vectors, new.embedding_model.as_deref(), new.dimensions) {
            (Some(false), None, None) => Vectors::None,
            (Some(false), ..) => {
                return Err(Error::invalid(
                    "vectors",
                    "vectors is false, yet an embedding_model or dimensions is given; keep one",
                ));
            }
            (_, Some(model), dimensions) if model.starts_with("external/") => external(model, dimensions)?,
            (_, model, None) => {
                let model = model.unwrap_or(default_model);
                if model != default_model {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("embedding_model `{model}` is unknown; use `{default_model}` or `external/<name>`"),
                    )
                    .with_param("embedding_model"));
                }
                Vectors::Model(model.to_owned())
            }
            (_, _, Some(_)) => {
                return Err(Error::invalid("dimensions", "dimensions goes with an external embedding_model only"));
            }
        };
        Ok(Self { format, schema, language, vectors })
    }

    /// Adds fields to the schema of a `records` datasource.
    ///
    /// # Errors
    /// `InvalidInput` when a field exists with another type, or the format has its own schema; `Unsupported` when `text`
    /// would change.
    pub fn with_more_fields(mut self, schema: &Json) -> Result<Self> {
        if self.format != Format::Records {
            return Err(Error::invalid("schema", format!("format {} has its own schema", self.format.name())));
        }
        let extended = self.schema.extended(schema)?;
        // What is there was cut into passages by the old list, and would not be found by the new one.
        if schema.get("text").is_some_and(|text| *text != Json::from(self.schema.text.clone())) {
            let message = "`text` of a schema cannot be changed yet: load the records into a new datasource";
            return Err(Error::new(ErrorKind::Unsupported, message).with_param("schema"));
        }
        self.schema = extended;
        Ok(self)
    }

    /// What the catalog keeps.
    pub fn to_json(&self) -> Json {
        let vectors = match &self.vectors {
            Vectors::None => json!({"vectors": false}),
            Vectors::Model(model) => json!({"vectors": true, "embedding_model": model}),
            Vectors::External(model, dimensions) => {
                json!({"vectors": true, "embedding_model": model, "dimensions": dimensions})
            }
        };
        let mut settings = json!({"language": self.language.as_str()});
        merge(&mut settings, vectors);
        if self.format == Format::Records {
            merge(&mut settings, json!({"schema": self.schema.to_json()}));
        }
        settings
    }

    /// Reads what the catalog kept.
    ///
    /// # Errors
    /// `Internal` when it is something else.
    pub fn of(datasource: &Datasource) -> Result<Self> {
        let settings = &datasource.settings;
        let text = |key: &str| settings.get(key).and_then(Json::as_str).map(str::to_owned);
        let new = NewSettings {
            format: datasource.format.clone(),
            schema: settings.get("schema").cloned(),
            language: text("language"),
            vectors: settings.get("vectors").and_then(Json::as_bool),
            embedding_model: text("embedding_model"),
            dimensions: settings.get("dimensions").and_then(Json::as_u64),
        };
        let default = new.embedding_model.clone().unwrap_or_default();
        Self::check(&new, &default).map_err(|cause| {
            Error::internal(format!("the catalog holds settings of datasource `{}` that cannot be read", datasource.id))
                .with_source(cause)
        })
    }

    /// The id of the model whose vectors are held.
    pub fn model(&self) -> Option<&str> {
        match &self.vectors {
            Vectors::None => None,
            Vectors::Model(model) | Vectors::External(model, _) => Some(model),
        }
    }
}

fn external(model: &str, dimensions: Option<u64>) -> Result<Vectors> {
    let dimensions = dimensions.filter(|d| (1..=MAX_DIMENSIONS).contains(d)).ok_or_else(|| {
        Error::invalid(
            "dimensions",
            format!("an external embedding_model needs dimensions between 1 and {MAX_DIMENSIONS}"),
        )
    })?;
    if model.len() > 192 || model == "external/" {
        return Err(Error::invalid(
            "embedding_model",
            "embedding_model is `external/` and a name of at most 183 bytes",
        ));
    }
    Ok(Vectors::External(model.to_owned(), usize::try_from(dimensions).unwrap_or(usize::MAX)))
}

fn merge(into: &mut Json, from: Json) {
    if let (Some(into), Json::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}
