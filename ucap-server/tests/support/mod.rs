//! A server in this process, on a free port, with a scripted model, and a client that knows nothing but HTTP.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ucap_core::Redacted;
use ucap_inference::{ALL_MINILM_L6_V2, ScriptedProvider};
use ucap_server::config::ServerConfig;
use ucap_server::{Platform, PlatformOptions};

pub const ADMIN: &str = "the-administrators-key-of-these-tests";

pub struct Server {
    pub address: String,
    pub platform: Platform,
    pub client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of an error answer, whose shape is checked on the way.
    pub fn code(&self) -> String {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {body}"));
        assert_eq!(body.as_object().unwrap().len(), 1);
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"], "{body}");
        assert!(error["message"].is_string() && error["type"].is_string());
        error["code"].as_str().unwrap().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(ServerConfig::default()).await
    }

    pub async fn start_with(config: ServerConfig) -> Self {
        Self::start_on(config, Arc::new(ScriptedProvider::new(ALL_MINILM_L6_V2, 64)), |_| {}).await
    }

    /// A server with this model, and options that `set` has changed.
    pub async fn start_on(
        config: ServerConfig,
        provider: Arc<ScriptedProvider>,
        set: impl FnOnce(&mut PlatformOptions),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = PlatformOptions::new(directory.path().join("data"))
            .with_provider(provider)
            .with_admin_key(Some(Redacted::new(ADMIN.to_owned())));
        set(&mut options);
        let platform = Platform::open_with(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = ucap_server::http::serve(platform.clone(), config, listener, async {
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving);
        let client = reqwest::Client::new();
        Self { address, platform, client, stop: Some(stop), serving: Some(serving), _directory: directory }
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.serving.take().unwrap().await.unwrap();
        self.platform.close().await.unwrap();
    }

    pub fn request(&self, method: &str, path: &str, key: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        if key.is_empty() { request } else { request.bearer_auth(key) }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response: Response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    /// `body` null sends none.
    pub async fn call(&self, method: &str, path: &str, body: Value, key: &str) -> Reply {
        let request = self.request(method, path, key);
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// As the administrator; must succeed.
    pub async fn make(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.call(method, path, body, ADMIN).await;
        assert!((200..300).contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text);
        reply.json()
    }

    pub async fn lines(&self, datasource: &str, lines: &str, key: &str) -> Reply {
        let request = self.request("POST", &format!("/v1/datasources/{datasource}/records"), key);
        self.send(request.header("content-type", "application/x-ndjson").body(lines.to_owned())).await
    }

    pub async fn user(&self, id: &str) -> String {
        self.make("POST", "/v1/users", json!({"id": id})).await;
        let key = self.make("POST", "/v1/keys", json!({"user": id, "name": "test"})).await;
        key["key"].as_str().unwrap().to_owned()
    }

    pub async fn grant(&self, subject: &str, resource: &str, actions: &[&str]) -> String {
        let grant = self
            .make("POST", "/v1/grants", json!({"subject": subject, "resource": resource, "actions": actions}))
            .await;
        grant["id"].as_str().unwrap().to_owned()
    }

    pub async fn notes(&self, id: &str, domain: &str) {
        let schema = json!({"fields": {"body": {"type": "text"}, "n": {"type": "integer"}}, "text": ["body"]});
        self.make(
            "POST",
            "/v1/datasources",
            json!({"id": id, "domain": domain, "format": "records", "schema": schema}),
        )
        .await;
    }

    /// Two domains with a datasource each: `open-notes` in `open`, which ana reads; `secret-notes` in `secret`, which she
    /// does not see.
    pub async fn with_two_domains() -> (Self, String) {
        let server = Self::start().await;
        for domain in ["open", "secret"] {
            server.make("POST", "/v1/domains", json!({"id": domain, "title": domain})).await;
            server.notes(&format!("{domain}-notes"), domain).await;
            let lines = (0..5).map(|n| {
                format!("{{\"id\":\"{domain}/{n}\",\"body\":\"{domain} note about overflow {n}\",\"n\":{n}}}\n")
            });
            let reply = server.lines(&format!("{domain}-notes"), &lines.collect::<String>(), ADMIN).await;
            assert_eq!(reply.json()["accepted"], 5, "{}", reply.text);
        }
        let ana = server.user("ana").await;
        server.grant("user:ana", "domain:open", &["read"]).await;
        (server, ana)
    }
}
