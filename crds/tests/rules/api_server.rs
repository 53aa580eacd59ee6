//! What the API server does with a resource, in its order: nulls dropped, defaults filled in, the schema's keywords
//! checked, and only then the CEL rules. The words of a refusal are the API server's.

use kube::core::cel::{CompiledSchema, ValidationError, Validator, apply_defaults, compile_schema};
use serde_json::{Map, Value};

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// The API server with our definition installed.
pub(crate) struct ApiServer {
    schema: Value,
    rules: CompiledSchema,
    validator: Validator,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        let definition = backupmx_crds::definition().expect("the definition");
        let mut definition = serde_json::to_value(definition).expect("JSON");
        let schema = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").expect("the schema").take();
        Self { rules: compile_schema(&schema), schema, validator: Validator::new() }
    }

    /// The resource as it is stored: without nulls, with the defaults.
    pub(crate) fn stored(&self, resource: &Value) -> Value {
        let mut resource = resource.clone();
        drop_nulls(&mut resource);
        apply_defaults(&self.schema, &resource)
    }

    /// Why the resource is refused, as a new one or as a change of `old`.
    pub(crate) fn refusals(&self, new: &Value, old: Option<&Value>) -> Vec<Refusal> {
        let (new, old) = (self.stored(new), old.map(|old| self.stored(old)));
        let mut refusals = Vec::new();
        check(&self.schema, &new, String::new(), &mut refusals);
        if !refusals.is_empty() {
            return refusals;
        }
        let errors = self.validator.validate_compiled(&self.rules, &new, old.as_ref()).err();
        let refusal =
            |error: &ValidationError| Refusal { field: error.field_path.clone(), message: error.message.clone() };
        errors.iter().flat_map(|errors| errors.iter()).map(refusal).collect()
    }

    /// Every rule of the definition, with its message.
    pub(crate) fn rules(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect(&self.schema, &mut found);
        found
    }
}

fn collect(schema: &Value, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(schema) => {
            for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
                assert!(!text("message").is_empty(), "{rule} has no message");
                found.push((text("rule"), text("message")));
            }
            schema.values().for_each(|child| collect(child, found));
        }
        Value::Array(children) => children.iter().for_each(|child| collect(child, found)),
        _ => {}
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn check(schema: &Value, value: &Value, field: String, refusals: &mut Vec<Refusal>) {
    let mut refuse = |message: String| refusals.push(Refusal { field: field.clone(), message });
    if let Some(wanted) = schema["type"].as_str().filter(|wanted| !is_type(value, wanted)) {
        return refuse(format!("must be of type {wanted}"));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        refuse(format!("supported values: {allowed:?}"));
    }
    if schema["format"] == "date-time" && value.as_str().is_some_and(|text| !text.contains('T')) {
        refuse("must be of type date-time".to_owned());
    }
    if let Some(number) = value.as_f64() {
        if schema["minimum"].as_f64().is_some_and(|least| number < least) {
            refuse(format!("should be greater than or equal to {}", schema["minimum"].as_f64().unwrap_or_default()));
        }
        if schema["maximum"].as_f64().is_some_and(|most| number > most) {
            refuse(format!("should be less than or equal to {}", schema["maximum"].as_f64().unwrap_or_default()));
        }
    }
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    if value.as_str().is_some_and(|text| text.chars().count() as u64 > longest) {
        refuse(format!("may not be more than {longest} bytes"));
    }
    match value {
        Value::Array(items) => check_list(schema, items, &field, refusals),
        Value::Object(fields) => check_object(schema, fields, &field, refusals),
        _ => {}
    }
}

fn check_list(schema: &Value, items: &[Value], field: &str, refusals: &mut Vec<Refusal>) {
    let length = items.len() as u64;
    if schema["minItems"].as_u64().is_some_and(|least| length < least) {
        let message = format!("should have at least {} items", schema["minItems"]);
        refusals.push(Refusal { field: field.to_owned(), message });
    }
    if schema["maxItems"].as_u64().is_some_and(|most| length > most) {
        let message = format!("must have at most {} items", schema["maxItems"]);
        refusals.push(Refusal { field: field.to_owned(), message });
    }
    let key = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Some(vec![item.clone()]),
        Some("map") => schema["x-kubernetes-list-map-keys"]
            .as_array()
            .map(|keys| keys.iter().filter_map(Value::as_str).map(|key| item[key].clone()).collect()),
        _ => None,
    };
    for (index, item) in items.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if key(item).is_some_and(|own| items[..index].iter().any(|other| key(other).as_ref() == Some(&own))) {
            refusals.push(Refusal { field: field.clone(), message: "Duplicate value".to_owned() });
        }
        check(&schema["items"], item, field, refusals);
    }
}

fn check_object(schema: &Value, fields: &Map<String, Value>, field: &str, refusals: &mut Vec<Refusal>) {
    let path = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            refusals.push(Refusal { field: path(name), message: "Required value".to_owned() });
        }
    }
    for (name, value) in fields {
        let known = schema["properties"].get(name);
        let child = known.or(schema.get("additionalProperties"));
        match child {
            Some(child) => check(child, value, path(name), refusals),
            None if field.is_empty() || field == "metadata" => {}
            None => refusals.push(Refusal { field: path(name), message: "unknown field".to_owned() }),
        }
    }
}

fn is_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}
