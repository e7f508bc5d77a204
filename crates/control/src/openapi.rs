//! The description of the API (OpenAPI 3.1), made of the table of routes and of what declares the resources: it cannot say
//! anything else than what is served.

use axum::http::Method;
use headworks_model::schemas;
use serde_json::{Map, Value, json};

use crate::names::noun;
use crate::routes::{Door, JSON, Route, backup, table};

const SCHEMAS: &str = "#/components/schemas/";

/// The whole description.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table() {
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation(&route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headworks",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON in the words and shapes of the configuration file. Where `admin.auth` is `required`, calls are \
                            signed with AWS Signature Version 4, service `headworks`, region `local`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "sigv4": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS4-HMAC-SHA256 for service headworks, region local.",
                },
            },
            "schemas": components(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    parameters.extend(route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.about,
            "schema": parameter.schema,
        })
    }));
    if route.is_conditional {
        let about = "Tags: the change is made only where what is there has one of them; `*`: where it is there.";
        parameters.push(json!({
            "name": "If-Match", "in": "header", "description": about,
            "schema": { "type": "string", "examples": ["*"] },
        }));
    }
    let mut answers = Map::new();
    let judged = route.parameters().contains(&"dry_run").then(|| json!({ "$ref": format!("{SCHEMAS}Judged") }));
    let is_own = |status: u16| route.answers.iter().any(|(own, _)| *own == status);
    if let Some(judged) = judged.as_ref().filter(|_| !is_own(200)) {
        answers.insert("200".to_owned(), answer("What it would do.", Some((JSON, judged.clone()))));
    }
    for (status, schema) in &route.answers {
        let schema = match (schema, &judged, status) {
            (Some(schema), Some(judged), 200) => Some(json!({ "anyOf": [schema, judged] })),
            (schema, ..) => schema.clone(),
        };
        let content = schema.map(|schema| (content_type(route, &schema), schema));
        let what = if *status == 201 { "Created." } else { "Done." };
        answers.insert(status.to_string(), answer(what, content));
    }
    answers.insert(
        "default".to_owned(),
        json!({
            "description": "A problem (RFC 9457).",
            "content": { "application/problem+json": { "schema": { "$ref": format!("{SCHEMAS}Problem") } } },
        }),
    );
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.about,
        "x-headworks-action": format!("headworks:{}", route.action),
        "parameters": parameters,
        "responses": answers,
    });
    if let Some(operation) = operation.as_object_mut() {
        if let Some(schema) = &route.takes {
            let patch = (route.method == Method::PATCH).then_some("application/merge-patch+json");
            let media = patch.into_iter().chain([route.media]);
            let content: Map<String, Value> =
                media.map(|media| (media.to_owned(), json!({ "schema": schema }))).collect();
            operation.insert("requestBody".to_owned(), json!({ "required": !route.takes_nothing, "content": content }));
        }
        if route.door == Door::Public {
            operation.insert("security".to_owned(), json!([]));
        }
    }
    operation
}

fn answer(what: &str, content: Option<(&str, Value)>) -> Value {
    match content {
        Some((media, schema)) => json!({ "description": what, "content": { media: { "schema": schema } } }),
        None => json!({ "description": what }),
    }
}

fn content_type(route: &Route, schema: &Value) -> &'static str {
    match (route.path.as_str(), schema.get("type").and_then(Value::as_str)) {
        ("/v1/events" | "/v1/live", _) => "text/event-stream",
        ("/v1/backup", _) => backup::MEDIA,
        ("/v1/audit/export", _) => "application/jsonl",
        ("/v1/iam/credential-report", _) => "text/csv",
        ("/metrics", _) => "application/openmetrics-text",
        (_, Some("string")) => "text/plain",
        _ => "application/json",
    }
}

/// Several methods may be one action; each operation has a name of its own.
fn operation_id(route: &Route) -> String {
    let parts: Vec<&str> = route.path.split('/').filter(|part| !part.is_empty() && *part != "v1").collect();
    let path = parts.join("-").replace(['{', '}'], "");
    format!("{}-{path}", route.method.as_str().to_ascii_lowercase())
}

fn components() -> Value {
    let (kinds, defs) = schemas(SCHEMAS);
    let mut all = match defs {
        Value::Object(defs) => defs,
        _ => Map::new(),
    };
    // the names in the table are those of the types that declare them
    for (kind, schema) in kinds {
        all.entry(noun(kind)).or_insert(schema);
    }
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let time = json!({ "type": "string", "format": "date-time" });
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
    let closed = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let document = format!("{SCHEMAS}PolicyDocument");
    let more = [
        (
            "Problem",
            object(
                json!({
                    "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "request_id": text,
                    "errors": { "type": "array", "items": {
                        "type": "object",
                        "properties": { "path": text, "pointer": text, "detail": text, "message": text },
                        "required": ["path", "detail", "message"],
                    } },
                }),
                &["type", "title", "status", "detail", "request_id"],
            ),
        ),
        (
            "Judged",
            closed(
                json!({ "dry_run": { "const": true }, "changes": texts, "warnings": texts }),
                &["dry_run", "changes", "warnings"],
            ),
        ),
        (
            "Meta",
            object(
                json!({ "origin": { "enum": ["file", "api"] }, "etag": text, "revision": { "type": "integer" } }),
                &["origin", "etag"],
            ),
        ),
        (
            "Revision",
            object(
                json!({
                    "revision": { "type": "integer" }, "at": time, "principal": text, "reason": text,
                    "resources": texts, "changes": texts,
                }),
                &["revision", "at", "principal", "reason", "resources"],
            ),
        ),
        (
            "AuditEntry",
            object(
                json!({
                    "number": { "type": "integer" }, "hash": text, "at": { "type": "integer" }, "principal": text,
                    "action": text, "resource": text, "source": text, "request_id": text,
                    "outcome": { "enum": ["allowed", "denied"] }, "status": { "type": "integer" },
                    "revision": { "type": "integer" }, "changes": texts, "why": text, "dry_run": { "type": "boolean" },
                }),
                &["number", "hash", "at", "principal", "action", "resource", "outcome", "status"],
            ),
        ),
        (
            "Caller",
            object(json!({ "principal": text, "auth": { "enum": ["none", "required"] } }), &["principal", "auth"]),
        ),
        (
            "PolicyDocument",
            json!({
                "type": "object",
                "description": "A policy document in the grammar of AWS.",
                "properties": {
                    "Version": { "enum": ["2012-10-17", "2008-10-17"] },
                    "Id": text,
                    "Statement": { "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "object" }, "minItems": 1 }] },
                },
                "required": ["Statement"],
                "additionalProperties": false,
            }),
        ),
        (
            "LastAccessed",
            object(
                json!({
                    "service": text,
                    "actions": { "type": "array", "items": {
                        "type": "object",
                        "properties": { "action": text, "at": time, "source": text },
                        "required": ["action", "at", "source"],
                    } },
                }),
                &["service", "actions"],
            ),
        ),
        (
            "PolicyVersion",
            object(
                json!({
                    "version": text, "default": { "type": "boolean" }, "created": time, "document": { "$ref": document },
                }),
                &["version", "default", "created", "document"],
            ),
        ),
        ("UserSettings", closed(json!({ "groups": texts, "attached": texts, "boundary": text }), &[])),
        ("GroupSettings", closed(json!({ "attached": texts }), &[])),
        (
            "RoleSettings",
            closed(
                json!({
                    "trust": { "$ref": document }, "attached": texts, "boundary": text,
                    "longest_session": { "type": "integer", "minimum": 3600, "maximum": 43200, "default": 3600 },
                }),
                &["trust"],
            ),
        ),
        (
            "User",
            object(
                json!({
                    "name": text, "hrn": text, "created": time, "groups": texts, "attached": texts,
                    "boundary": { "type": ["string", "null"] }, "policies": texts, "console": { "type": "object" },
                    "access_keys": { "type": "array", "items": { "$ref": format!("{SCHEMAS}AccessKey") } },
                }),
                &["name", "hrn", "created", "groups", "attached", "policies", "console", "access_keys"],
            ),
        ),
        (
            "Session",
            object(
                json!({
                    "auth": { "enum": ["none", "required"] }, "initialised": { "type": "boolean" },
                    "user": { "type": ["string", "null"] }, "principal": { "type": ["string", "null"] },
                    "mfa": { "type": "boolean" }, "expires": { "type": ["string", "null"], "format": "date-time" },
                    "version": text,
                }),
                &["auth", "initialised", "user", "principal", "mfa", "expires", "version"],
            ),
        ),
        (
            "Password",
            object(
                json!({
                    "changed": time, "must_change": { "type": "boolean" },
                    "last_used": { "type": ["string", "null"], "format": "date-time" },
                }),
                &["changed", "must_change", "last_used"],
            ),
        ),
        (
            "MfaDevice",
            object(
                json!({
                    "active": { "type": "boolean" }, "pending": { "type": "boolean" },
                    "since": { "type": ["string", "null"], "format": "date-time" },
                }),
                &["active", "pending", "since"],
            ),
        ),
        ("NewMfaDevice", object(json!({ "secret": text, "uri": text }), &["secret", "uri"])),
        (
            "PasswordPolicy",
            closed(
                json!({
                    "minimum_length": { "type": "integer", "minimum": 6, "maximum": 128, "default": 8 },
                    "require_uppercase": { "type": "boolean" }, "require_lowercase": { "type": "boolean" },
                    "require_numbers": { "type": "boolean" }, "require_symbols": { "type": "boolean" },
                    "max_age_days": { "type": "integer", "minimum": 0, "maximum": 1095 },
                    "reuse_prevention": { "type": "integer", "minimum": 0, "maximum": 24 },
                }),
                &[],
            ),
        ),
        (
            "Group",
            object(
                json!({
                    "name": text, "hrn": text, "created": time, "attached": texts, "policies": texts, "members": texts,
                }),
                &["name", "hrn", "created", "attached", "policies", "members"],
            ),
        ),
        (
            "Role",
            object(
                json!({
                    "name": text, "hrn": text, "created": time, "trust": { "$ref": document }, "attached": texts,
                    "boundary": { "type": ["string", "null"] }, "policies": texts, "longest_session": { "type": "integer" },
                }),
                &["name", "hrn", "created", "trust", "attached", "policies", "longest_session"],
            ),
        ),
        (
            "AccessKey",
            object(
                json!({
                    "access_key_id": text, "status": { "enum": ["active", "inactive"] }, "created": time,
                    "last_used": { "type": ["object", "null"] },
                }),
                &["access_key_id", "status", "created"],
            ),
        ),
        (
            "NewAccessKey",
            object(
                json!({
                    "user": text, "access_key_id": text, "secret_access_key": text,
                    "status": { "enum": ["active", "inactive"] }, "created": time,
                }),
                &["user", "access_key_id", "secret_access_key", "status", "created"],
            ),
        ),
        (
            "Credentials",
            object(
                json!({
                    "principal": text, "access_key_id": text, "secret_access_key": text, "session_token": text, "expires": time,
                }),
                &["principal", "access_key_id", "secret_access_key", "session_token", "expires"],
            ),
        ),
    ];
    all.extend(more.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    all.into()
}
