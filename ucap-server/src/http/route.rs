//! A route: what it is, how it is documented and who answers it, in one value. The router and `/openapi.json` are both
//! made from the same list of them, so neither knows a route that the other does not.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::App;

pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// A schema by name, and those it refers to.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) collect: fn(&mut Schemas),
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name().into_owned(),
            collect: |schemas| {
                schemas.push((T::name().into_owned(), T::schema()));
                T::schemas(schemas);
            },
        }
    }
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum RequestBody {
    /// JSON of one shape.
    Json(Shape),
    /// Bytes of one of these content types.
    Raw(&'static [&'static str]),
}

/// What an answer carries.
#[derive(Clone)]
pub(super) enum AnswerBody {
    /// JSON of one shape.
    Json(Shape),
    /// `{"data":[…],"next":…}` of one shape.
    List(Shape),
    /// Text of this content type.
    Text(&'static str),
}

/// A query parameter.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) r#type: &'static str,
    pub(super) description: &'static str,
}

/// The parameters of every list.
pub(super) const LIST: &[Parameter] = &[
    Parameter { name: "limit", r#type: "integer", description: "At most so many, 1 to 1000; default 100." },
    Parameter { name: "cursor", r#type: "string", description: "The `next` of the page before." },
];

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    /// As axum writes it.
    pub(super) path: &'static str,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    /// Whether it needs no credential.
    pub(super) open: bool,
    /// Whether it has no deadline: it ends when its body does.
    pub(super) untimed: bool,
    /// Whether only administrators of the platform can use it.
    pub(super) administrators: bool,
    /// Whether it is about one thing that has an ETag: then it obeys `If-Match` or `If-None-Match`.
    pub(super) versioned: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) request: Option<RequestBody>,
    pub(super) answers: Vec<(u16, AnswerBody)>,
    pub(super) handler: MethodRouter<App>,
}

impl Route {
    /// A route that needs a credential, has a deadline, and takes and answers nothing yet.
    pub(super) fn new<H, T>(
        method: Method,
        path: &'static str,
        group: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
        let handler = on(filter, handler);
        Self {
            method,
            path,
            group,
            summary,
            open: false,
            untimed: false,
            administrators: false,
            versioned: false,
            parameters: &[],
            request: None,
            answers: Vec::new(),
            handler,
        }
    }

    pub(super) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    pub(super) fn untimed(mut self) -> Self {
        self.untimed = true;
        self
    }

    pub(super) fn administrators(mut self) -> Self {
        self.administrators = true;
        self
    }

    pub(super) fn versioned(mut self) -> Self {
        self.versioned = true;
        self
    }

    pub(super) fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.request = Some(RequestBody::Json(Shape::of::<T>()));
        self
    }

    pub(super) fn takes_raw(mut self, content_types: &'static [&'static str]) -> Self {
        self.request = Some(RequestBody::Raw(content_types));
        self
    }

    pub(super) fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, AnswerBody::Json(Shape::of::<T>())));
        self
    }

    pub(super) fn lists<T: ToSchema>(mut self) -> Self {
        self.parameters = LIST;
        self.answers.push((200, AnswerBody::List(Shape::of::<T>())));
        self
    }

    pub(super) fn answers_text(mut self, status: u16, content_type: &'static str) -> Self {
        self.answers.push((status, AnswerBody::Text(content_type)));
        self
    }
}
