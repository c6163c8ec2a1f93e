//! Programs that embed ucap: `embed_minimal.rs` and `embed_in_axum.rs` beside this folder, and in `data` the advisories they load.
