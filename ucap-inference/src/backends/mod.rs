//! The providers that are compiled in. A folder is a feature of the same name.

#[cfg(feature = "candle")]
pub(crate) mod candle;
pub(crate) mod scripted;
