//! The guard over deserializers.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{Depth, Ledger, Refusal, Rules};

/// A deserializer, a visitor, a seed or an access under rules.
///
/// serde calls back and forth between the type and the format. Whatever passes from one to the other is wrapped, so
/// that each level of nesting is counted where the format opens it.
pub(crate) struct Guard<'l, X, R> {
    inner: X,
    ledger: &'l Ledger<R>,
    depth: Depth,
}

impl<'l, X, R: Rules> Guard<'l, X, R> {
    /// The guard of the outermost value.
    #[inline]
    pub(crate) fn top(inner: X, ledger: &'l Ledger<R>) -> Self {
        Guard {
            inner,
            ledger,
            depth: Depth::TOP,
        }
    }

    /// `other`, standing where this guard stands.
    #[inline]
    fn hold<Y>(&self, other: Y) -> Guard<'l, Y, R> {
        Guard {
            inner: other,
            ledger: self.ledger,
            depth: self.depth,
        }
    }
}

#[inline]
fn to_error<E: Error>(refusal: Refusal) -> E {
    E::custom(refusal.text())
}

macro_rules! forward_requests {
    ($($method:ident($($name:ident: $type:ty),*),)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.hold(visitor);
            self.inner.$method($($name,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>, R: Rules> Deserializer<'de> for Guard<'_, D, R> {
    type Error = D::Error;

    forward_requests! {
        deserialize_any(),
        deserialize_bool(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_i64(),
        deserialize_i128(),
        deserialize_u8(),
        deserialize_u16(),
        deserialize_u32(),
        deserialize_u64(),
        deserialize_u128(),
        deserialize_f32(),
        deserialize_f64(),
        deserialize_char(),
        deserialize_str(),
        deserialize_bytes(),
        deserialize_option(),
        deserialize_unit(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_seq(),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
        deserialize_identifier(),
        deserialize_ignored_any(),
    }

    /// bincode's own way to an owned string allocates what the length claims before it looks whether the bytes are
    /// there. Its borrowing way looks first.
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.hold(visitor);
        if R::POSITIONAL {
            self.inner.deserialize_str(visitor)
        } else {
            self.inner.deserialize_string(visitor)
        }
    }

    /// As for strings.
    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.hold(visitor);
        if R::POSITIONAL {
            self.inner.deserialize_bytes(visitor)
        } else {
            self.inner.deserialize_byte_buf(visitor)
        }
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visits {
    ($($method:ident: $type:ty,)*) => {
        $(#[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>, R: Rules> Visitor<'de> for Guard<'_, V, R> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visits! {
        visit_bool: bool,
        visit_i8: i8,
        visit_i16: i16,
        visit_i32: i32,
        visit_i64: i64,
        visit_i128: i128,
        visit_u8: u8,
        visit_u16: u16,
        visit_u32: u32,
        visit_u64: u64,
        visit_u128: u128,
        visit_char: char,
        visit_str: &str,
        visit_borrowed_str: &'de str,
        visit_string: String,
        visit_bytes: &[u8],
        visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>,
    }

    #[inline]
    fn visit_f32<E: Error>(self, value: f32) -> Result<V::Value, E> {
        self.ledger.check_float(value.is_finite()).map_err(to_error)?;
        self.inner.visit_f32(value)
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.ledger.check_float(value.is_finite()).map_err(to_error)?;
        self.inner.visit_f64(value)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<V::Value, D::Error> {
        self.depth = self.depth.wrap(self.ledger).map_err(to_error)?;
        let deserializer = self.hold(deserializer);
        self.inner.visit_some(deserializer)
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<V::Value, D::Error> {
        self.depth = self.depth.wrap(self.ledger).map_err(to_error)?;
        let deserializer = self.hold(deserializer);
        self.inner.visit_newtype_struct(deserializer)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(mut self, access: A) -> Result<V::Value, A::Error> {
        self.ledger.check_elements(access.size_hint()).map_err(to_error)?;
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let access = self.hold(access);
        self.inner.visit_seq(access)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(mut self, access: A) -> Result<V::Value, A::Error> {
        self.ledger.check_elements(access.size_hint()).map_err(to_error)?;
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let access = self.hold(access);
        self.inner.visit_map(access)
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.hold(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>, R: Rules> DeserializeSeed<'de> for Guard<'_, S, R> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.hold(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>, R: Rules> SeqAccess<'de> for Guard<'_, A, R> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.hold(seed);
        self.inner.next_element_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>, R: Rules> MapAccess<'de> for Guard<'_, A, R> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.hold(seed);
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.hold(seed);
        self.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'l, A: EnumAccess<'de>, R: Rules> EnumAccess<'de> for Guard<'l, A, R> {
    type Error = A::Error;
    type Variant = Guard<'l, A::Variant, R>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.hold(seed);
        let (ledger, depth) = (self.ledger, self.depth);
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Guard { inner, ledger, depth }))
    }
}

impl<'de, A: VariantAccess<'de>, R: Rules> VariantAccess<'de> for Guard<'_, A, R> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, A::Error> {
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let seed = self.hold(seed);
        self.inner.newtype_variant_seed(seed)
    }

    /// One level here, for the map of one entry that a self-describing format writes round the payload; a second
    /// where the payload itself opens.
    #[inline]
    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let visitor = self.hold(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    /// As for tuple variants.
    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let visitor = self.hold(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
