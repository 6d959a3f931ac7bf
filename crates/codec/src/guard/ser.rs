//! The guard over serializers.

use std::any::type_name;
use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Depth, Ledger, Refusal, Rules};

/// A value and where it stands. Serialises as the value does, under the rules `R`.
pub(crate) struct Guarded<'v, 'l, T: ?Sized, R> {
    value: &'v T,
    ledger: &'l Ledger<R>,
    depth: Depth,
}

impl<'v, 'l, T: ?Sized, R: Rules> Guarded<'v, 'l, T, R> {
    /// The outermost value.
    #[inline]
    pub(crate) fn top(value: &'v T, ledger: &'l Ledger<R>) -> Self {
        Guarded {
            value,
            ledger,
            depth: Depth::TOP,
        }
    }
}

impl<T: Serialize + ?Sized, R: Rules> Serialize for Guarded<'_, '_, T, R> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ledger.check_type(type_name::<T>()).map_err(to_error)?;
        self.value.serialize(Guard {
            inner: serializer,
            ledger: self.ledger,
            depth: self.depth,
        })
    }
}

/// A serializer under rules, and also each of its compounds.
pub(crate) struct Guard<'l, S, R> {
    inner: S,
    ledger: &'l Ledger<R>,
    depth: Depth,
}

impl<'l, S, R: Rules> Guard<'l, S, R> {
    /// `value`, standing where this guard stands.
    #[inline]
    fn hold<'v, T: ?Sized>(&self, value: &'v T) -> Guarded<'v, 'l, T, R> {
        Guarded {
            value,
            ledger: self.ledger,
            depth: self.depth,
        }
    }
}

#[inline]
fn to_error<E: serde::ser::Error>(refusal: Refusal) -> E {
    E::custom(refusal.text())
}

macro_rules! forward_scalars {
    ($($method:ident: $type:ty,)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

macro_rules! enter {
    ($self:ident, $levels:literal, $open:expr) => {{
        let ledger = $self.ledger;
        let mut depth = $self.depth;
        for _ in 0..$levels {
            depth = depth.enter(ledger).map_err(to_error)?;
        }
        let inner = $open?;
        Ok(Guard { inner, ledger, depth })
    }};
}

impl<'l, S: Serializer, R: Rules> Serializer for Guard<'l, S, R> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guard<'l, S::SerializeSeq, R>;
    type SerializeTuple = Guard<'l, S::SerializeTuple, R>;
    type SerializeTupleStruct = Guard<'l, S::SerializeTupleStruct, R>;
    type SerializeTupleVariant = Guard<'l, S::SerializeTupleVariant, R>;
    type SerializeMap = Guard<'l, S::SerializeMap, R>;
    type SerializeStruct = Guard<'l, S::SerializeStruct, R>;
    type SerializeStructVariant = Guard<'l, S::SerializeStructVariant, R>;

    forward_scalars! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.ledger.check_float(value.is_finite()).map_err(to_error)?;
        self.inner.serialize_f32(value)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.ledger.check_float(value.is_finite()).map_err(to_error)?;
        self.inner.serialize_f64(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<S::Ok, S::Error> {
        self.depth = self.depth.wrap(self.ledger).map_err(to_error)?;
        let value = self.hold(value);
        self.inner.serialize_some(&value)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.depth = self.depth.wrap(self.ledger).map_err(to_error)?;
        let value = self.hold(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.depth = self.depth.enter(self.ledger).map_err(to_error)?;
        let value = self.hold(value);
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        check_length(self.ledger, len)?;
        enter!(self, 1, self.inner.serialize_seq(len))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        enter!(self, 1, self.inner.serialize_tuple(len))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        enter!(self, 1, self.inner.serialize_tuple_struct(name, len))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        enter!(
            self,
            2,
            self.inner.serialize_tuple_variant(name, index, variant, len)
        )
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        check_length(self.ledger, len)?;
        enter!(self, 1, self.inner.serialize_map(len))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        enter!(self, 1, self.inner.serialize_struct(name, len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        enter!(
            self,
            2,
            self.inner.serialize_struct_variant(name, index, variant, len)
        )
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

#[inline]
fn check_length<R: Rules, E: serde::ser::Error>(ledger: &Ledger<R>, len: Option<usize>) -> Result<(), E> {
    if R::POSITIONAL && len.is_none() {
        return Err(to_error(ledger.refuse(Refusal::UnknownLength)));
    }
    ledger.check_elements(len).map_err(to_error)
}

macro_rules! forward_elements {
    ($($trait:ident: $method:ident,)*) => {
        $(impl<S: $trait, R: Rules> $trait for Guard<'_, S, R> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                let value = self.hold(value);
                self.inner.$method(&value)
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

forward_elements! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

macro_rules! forward_fields {
    ($($trait:ident,)*) => {
        $(impl<S: $trait, R: Rules> $trait for Guard<'_, S, R> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
                let value = self.hold(value);
                self.inner.serialize_field(key, &value)
            }

            #[inline]
            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                if R::POSITIONAL {
                    return Err(to_error(self.ledger.refuse(Refusal::SkippedField(key))));
                }
                self.inner.skip_field(key)
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

forward_fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<S: SerializeMap, R: Rules> SerializeMap for Guard<'_, S, R> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        let key = self.hold(key);
        self.inner.serialize_key(&key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = self.hold(value);
        self.inner.serialize_value(&value)
    }

    #[inline]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        let key = self.hold(key);
        let value = self.hold(value);
        self.inner.serialize_entry(&key, &value)
    }

    #[inline]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
