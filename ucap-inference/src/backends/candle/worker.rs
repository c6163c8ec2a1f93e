//! The threads that compute, and what they compute with.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ucap_core::{Error, Result};

use super::bert::{Bert, Workspace};
use super::files::ModelFiles;
use super::lanes::{Embedded, Lanes, Piece};
use super::tokenizer::WordPieces;
use crate::embedding::EmbeddingInputs;

/// A model in memory. The threads share it.
#[derive(Debug)]
pub(super) struct LoadedModel {
    pieces: WordPieces,
    bert: Bert,
}

impl LoadedModel {
    /// Builds the model: CPU work, which packs all weights.
    pub(super) fn load(files: ModelFiles) -> Result<Self> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::internal("the files of the embedding model are the pinned ones, but cannot be loaded")
                .with_source(source)
        };
        Ok(Self {
            pieces: WordPieces::load(&files.tokenizer).map_err(unusable)?,
            bert: Bert::load(&files.config, files.weights).map_err(|error| unusable(error.into()))?,
        })
    }

    /// Embeds the inputs of one piece.
    fn embed(&self, inputs: &EmbeddingInputs, range: Range<usize>, space: &mut Workspace) -> Result<Embedded> {
        let sequences: Vec<Vec<u32>> = match inputs {
            EmbeddingInputs::Texts(texts) => texts[range].iter().map(|text| self.ids(text)).collect::<Result<_>>()?,
            EmbeddingInputs::Tokens(all) => all[range].iter().map(|ids| self.framed(ids)).collect::<Result<_>>()?,
        };
        let tokens = sequences.iter().map(|ids| ids.len() as u64).sum();
        let vectors = self
            .bert
            .embed(&sequences, space)
            .map_err(|error| Error::internal("the embedding model could not compute").with_source(error))?;
        Ok(Embedded { vectors, tokens })
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        self.pieces.ids(text).map_err(|source| Error::internal("a text could not be tokenised").with_source(source))
    }

    fn framed(&self, ids: &[u32]) -> Result<Vec<u32>> {
        let vocabulary = self.bert.vocabulary();
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            let message = format!(
                "token {id} is not in the model's vocabulary of {vocabulary}: send texts, or tokens of this model's own \
                 tokenizer"
            );
            return Err(Error::invalid("input", message));
        }
        Ok(self.pieces.framed(ids))
    }
}

/// Starts `threads` threads that serve `lanes` until these are closed.
pub(super) fn start(threads: usize, lanes: &Arc<Lanes>, model: &Arc<LoadedModel>) -> std::io::Result<()> {
    for index in 0..threads {
        let (lanes, model) = (Arc::clone(lanes), Arc::clone(model));
        std::thread::Builder::new().name(format!("ucap-embed-{index}")).spawn(move || serve(&lanes, &model))?;
    }
    Ok(())
}

fn serve(lanes: &Lanes, model: &LoadedModel) {
    let mut space = Workspace::default();
    while let Some(mut piece) = lanes.next() {
        if piece.is_wanted() {
            compute(piece, model, &mut space);
        }
    }
}

/// A panic costs the request that met it, not the thread: what it left in `space` is overwritten by the next.
fn compute(piece: Piece, model: &LoadedModel, space: &mut Workspace) {
    let (inputs, range) = piece.inputs();
    match catch_unwind(AssertUnwindSafe(|| model.embed(inputs, range, space))) {
        Ok(result) => piece.finish(result),
        Err(_) => {
            tracing::error!("the embedding model panicked");
            drop(piece); // fails the request
        }
    }
}
