//! Files from the Hugging Face hub, each verified before anybody sees it.

use std::time::Duration;

use super::files::PinnedFile;
use super::pull::PullEvent;

/// Longest silence: to the connection, to the answer, and between two pieces of a file.
const SILENCE: Duration = Duration::from_secs(5);

/// A folder of the hub.
pub(super) struct Hub<'a> {
    client: reqwest::Client,
    address: &'a str,
}

impl<'a> Hub<'a> {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// A sentence, when this system cannot make such connections.
    pub(super) fn new(address: &'a str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .user_agent(concat!("ucap/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| reasons(&error))?;
        Ok(Self { client, address: address.trim_end_matches('/') })
    }

    /// Downloads a file and verifies it; `report` hears of each MiB.
    ///
    /// # Errors
    /// A sentence: the hub cannot be reached, falls silent, refuses, or sends other bytes.
    pub(super) async fn fetch(
        &self,
        file: &'static PinnedFile,
        report: &(dyn Fn(PullEvent) + Sync),
    ) -> Result<Vec<u8>, String> {
        let request = self.client.get(format!("{}/{}", self.address, file.name)).send();
        let answer = tokio::time::timeout(SILENCE, request).await;
        let answer = answer.map_err(|_| format!("no answer within {} seconds", SILENCE.as_secs()))?;
        let mut answer = answer.and_then(reqwest::Response::error_for_status).map_err(|error| reasons(&error))?;
        let mut bytes = Vec::with_capacity(file.bytes as usize);
        let mut reported = 0;
        while let Some(part) = answer.chunk().await.map_err(|error| reasons(&error))? {
            bytes.extend_from_slice(&part);
            let received = bytes.len() as u64;
            if received > file.bytes {
                break; // verification will say so
            }
            if received - reported >= 1 << 20 || received == file.bytes {
                reported = received;
                report(PullEvent::Progress { file: file.name, received, total: file.bytes });
            }
        }
        file.verify(&bytes).map_err(|reason| format!("{}: {reason}", file.name))?;
        Ok(bytes)
    }
}

/// An error and its causes in one line: reqwest's own sentence hides the cause.
fn reasons(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
