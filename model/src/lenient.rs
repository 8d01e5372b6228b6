//! One type for two readings: a manifest's reader refuses a field that the type does not know, the tree's keeps it.
//!
//! A type that is read in both ways denies unknown fields (`#[serde(deny_unknown_fields)]`). [`read`] asks it which fields
//! it has, as serde's derived code tells them, hands it these alone, and returns the others as [`Rest`]. So nothing has to
//! be written twice, and nothing is decided by the text of an error. A type with flattened or untagged parts does not tell
//! its fields; such parts keep nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// What a type did not know of an object: whole fields, and what was unknown below known ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    fields: Map<String, Value>,
    below: BTreeMap<String, Rest>,
    /// Of a list: for each of its elements. Empty where there is nothing.
    elements: Vec<Rest>,
}

impl Rest {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.below.is_empty() && self.elements.is_empty()
    }

    /// Puts everything back into the object as its type writes it now. What was in a part that is gone, or in a list of
    /// another length, goes with that.
    pub(crate) fn put_back(&self, into: &mut Value) {
        match into {
            Value::Object(into) => {
                for (name, value) in &self.fields {
                    into.entry(name.clone()).or_insert_with(|| value.clone());
                }
                for (name, rest) in &self.below {
                    if let Some(part) = into.get_mut(name) {
                        rest.put_back(part);
                    }
                }
            }
            Value::Array(into) if into.len() == self.elements.len() => {
                into.iter_mut().zip(&self.elements).for_each(|(element, rest)| rest.put_back(element));
            }
            _ => {}
        }
    }

    fn put_below(&mut self, name: &str, rest: Self) {
        if !rest.is_empty() {
            self.below.insert(name.to_owned(), rest);
        }
    }
}

/// A variant of a closed set that the set does not have.
#[derive(Debug, Default)]
pub(crate) struct UnknownName {
    /// Where: the fields from the outermost one.
    pub(crate) place: Vec<String>,
    pub(crate) name: String,
    pub(crate) known: &'static [&'static str],
}

/// Why a value was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Name(UnknownName),
    Json(Error),
}

/// Reads a value, and what its type does not know of it.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<(T, Rest), ReadError> {
    let (mut rest, wrong) = (Rest::default(), RefCell::default());
    let read = T::deserialize(Lenient { value, rest: &mut rest, wrong: &wrong });
    match (read, wrong.into_inner()) {
        (Ok(value), _) => Ok((value, rest)),
        (Err(_), Some(wrong)) => Err(ReadError::Name(wrong)),
        (Err(why), None) => Err(ReadError::Json(why)),
    }
}

type Wrong = RefCell<Option<UnknownName>>;

struct Lenient<'a> {
    value: Value,
    rest: &'a mut Rest,
    wrong: &'a Wrong,
}

impl<'de> Deserializer<'de> for Lenient<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(values) => {
                let mut list = List { values: values.into_iter(), rests: Vec::new(), wrong: self.wrong };
                let value = visitor.visit_seq(&mut list)?;
                if list.rests.iter().any(|rest| !rest.is_empty()) {
                    self.rest.elements = list.rests;
                }
                Ok(value)
            }
            Value::Object(fields) => visitor.visit_map(Fields::of(fields, self.rest, self.wrong)),
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(fields) => {
                let (known, unknown) = fields.into_iter().partition(|(name, _)| known.contains(&&**name));
                self.rest.fields = unknown;
                visitor.visit_map(Fields::of(known, self.rest, self.wrong))
            }
            // A derived type would take a list for its fields.
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (name, content) = match self.value {
            Value::String(name) => (name, None),
            Value::Object(fields) if fields.len() == 1 => {
                let (name, content) = fields.into_iter().next().expect("there is one");
                (name, Some(content))
            }
            value => return Err(Error::invalid_type(unexpected(&value), &visitor)),
        };
        if !known.contains(&&*name) {
            let why = Error::unknown_variant(&name, known);
            self.wrong.replace(Some(UnknownName { place: Vec::new(), name, known }));
            return Err(why);
        }
        visitor.visit_enum(Variant { name, content, rest: self.rest, wrong: self.wrong })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// Says in which part an unknown name was found.
fn at<T>(part: impl fmt::Display, wrong: &Wrong, read: Result<T, Error>) -> Result<T, Error> {
    if read.is_err()
        && let Some(wrong) = &mut *wrong.borrow_mut()
    {
        wrong.place.insert(0, part.to_string());
    }
    read
}

struct Fields<'a> {
    entries: <Map<String, Value> as IntoIterator>::IntoIter,
    next: Option<(String, Value)>,
    rest: &'a mut Rest,
    wrong: &'a Wrong,
}

impl<'a> Fields<'a> {
    fn of(fields: Map<String, Value>, rest: &'a mut Rest, wrong: &'a Wrong) -> Self {
        Self { entries: fields.into_iter(), next: None, rest, wrong }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next = self.entries.next();
        let name: Option<StringDeserializer<Error>> =
            self.next.as_ref().map(|(name, _)| name.clone().into_deserializer());
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (name, value) = self.next.take().expect("serde asks for the key first");
        let mut rest = Rest::default();
        let read = seed.deserialize(Lenient { value, rest: &mut rest, wrong: self.wrong });
        self.rest.put_below(&name, rest);
        at(name, self.wrong, read)
    }
}

struct List<'a> {
    values: std::vec::IntoIter<Value>,
    rests: Vec<Rest>,
    wrong: &'a Wrong,
}

impl<'de> SeqAccess<'de> for &mut List<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let mut rest = Rest::default();
        let read = seed.deserialize(Lenient { value, rest: &mut rest, wrong: self.wrong });
        self.rests.push(rest);
        at(self.rests.len() - 1, self.wrong, read.map(Some))
    }
}

struct Variant<'a> {
    name: String,
    content: Option<Value>,
    rest: &'a mut Rest,
    wrong: &'a Wrong,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Content<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'a>), Error> {
        let Self { name, content, rest, wrong } = self;
        let value = seed.deserialize::<StringDeserializer<Error>>(name.clone().into_deserializer())?;
        Ok((value, Content { name, value: content, rest, wrong }))
    }
}

struct Content<'a> {
    name: String,
    value: Option<Value>,
    rest: &'a mut Rest,
    wrong: &'a Wrong,
}

impl Content<'_> {
    fn read<T>(self, read: impl FnOnce(Lenient<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut rest = Rest::default();
        let value = self.value.unwrap_or_default();
        let read = read(Lenient { value, rest: &mut rest, wrong: self.wrong });
        self.rest.put_below(&self.name, rest);
        at(self.name, self.wrong, read)
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None | Some(Value::Null) => Ok(()),
            Some(value) => Err(Error::invalid_type(unexpected(&value), &"a name without content")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.read(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        self.read(|content| content.deserialize_any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read(|content| content.deserialize_struct("", known, visitor))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        known: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        kinds: Vec<Kind>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        a: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Plain,
        Of(Inner),
        With { b: bool },
    }

    #[test]
    fn what_is_unknown_at_any_depth_is_kept_and_put_back() {
        let value = json!({
            "known": 1, "x": {"deep": [1, 2.5, null]}, "inner": {"a": "1", "y": true},
            "list": [{"a": "2"}, {"a": "3", "z": "z"}],
            "kinds": ["Plain", {"Of": {"a": "4", "v": 0}}, {"With": {"b": true, "w": {}}}],
        });
        assert!(serde_json::from_value::<Outer>(value.clone()).is_err(), "the strict reading");
        let (outer, rest) = read::<Outer>(value.clone()).unwrap();
        assert_eq!(outer.kinds[2], Kind::With { b: true });
        let mut again = serde_json::to_value(&outer).unwrap();
        rest.put_back(&mut again);
        assert_eq!(again, value);
        // A part that is gone takes what was in it along.
        let mut changed = serde_json::to_value(Outer { inner: None, list: Vec::new(), ..outer }).unwrap();
        rest.put_back(&mut changed);
        assert_eq!(changed["x"], value["x"]);
        assert_eq!((changed.get("inner"), &changed["list"]), (None, &json!([])));
    }

    #[test]
    fn what_is_wrong_is_refused_as_ever() {
        for wrong in
            [json!({}), json!([1]), json!({"known": 256}), json!({"known": 1, "inner": {}}), json!(1)]
        {
            let strict = serde_json::from_value::<Outer>(wrong.clone()).is_err() || wrong.is_array();
            assert!(strict && matches!(read::<Outer>(wrong), Err(ReadError::Json(_))));
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_its_place() {
        let value = json!({"known": 1, "kinds": ["Plain", {"Later": {}}]});
        let Err(ReadError::Name(wrong)) = read::<Outer>(value) else { panic!("it is read") };
        assert_eq!((wrong.place.join("."), &*wrong.name), ("kinds.1".to_owned(), "Later"));
        assert_eq!(wrong.known, ["Plain", "Of", "With"]);
    }
}
