//! `ucap models pull`: fetches and verifies the local embedding model, without a platform.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use ucap_inference::{ALL_MINILM_L6_V2, PullEvent, PullOptions, cache_directory, pull};

use super::complaint::{Complaint, Outcome};

/// Pulls; answers with where the files lie.
pub(super) async fn pull_model(model_dir: Option<PathBuf>) -> Outcome<serde_json::Value> {
    let cache = cache_directory(|name| std::env::var_os(name));
    let cache = cache.ok_or_else(|| Complaint::new("no cache folder is known; set UCAP_CACHE"))?;
    let mut options = PullOptions::new(cache);
    if let Some(directory) = model_dir {
        options = options.with_model_dir(directory);
    }
    let style = ProgressStyle::with_template("{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    let report = |event: PullEvent| match event {
        PullEvent::Progress { file, received, total } => {
            bar.set_length(total);
            bar.set_position(received);
            bar.set_message(file);
        }
        event => bar.println(event.to_string()),
    };
    let files = pull(&options, &report).await;
    bar.finish_and_clear();
    Ok(json!({"id": ALL_MINILM_L6_V2, "directory": files?.directory().display().to_string()}))
}
