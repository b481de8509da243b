//! Binding the arguments of a call to parameters, with the words of a function written in Python.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::fastcall::Arguments;
use crate::error::WithText;

/// `def function(required, optional=..., *, keyword=...)`, for functions and, without their `self`,
/// methods.
pub(crate) struct Signature<const N: usize> {
    /// As in messages: `sleep`, `TaskGroup.create_task`.
    pub(crate) function: &'static str,
    pub(crate) names: [&'static str; N],
    /// So many of the names may be given by position; the rest are keyword-only.
    pub(crate) positional: usize,
    /// So many of them have no default.
    pub(crate) required: usize,
    /// Is there a `self` in front, which is counted in messages?
    pub(crate) is_method: bool,
}

impl<const N: usize> Signature<N> {
    /// The values, None for those that were not given.
    ///
    /// # Errors
    /// TypeError for too many, missing, unknown and doubly given arguments.
    pub(crate) fn bind<'py>(
        &self,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        let mut values = [const { None }; N];
        let given = arguments.len();
        for (index, value) in values.iter_mut().enumerate().take(given.min(self.positional)) {
            *value = arguments.get(index);
        }
        for (name, value) in arguments.keywords() {
            let name = name.to_str()?;
            match self.names.iter().position(|known| *known == name) {
                None => {
                    return Err(self.error(&format!("got an unexpected keyword argument '{name}'")));
                }
                Some(index) if values[index].is_some() => {
                    return Err(self.error(&format!("got multiple values for argument '{name}'")));
                }
                Some(index) => values[index] = Some(value),
            }
        }
        if given > self.positional {
            return Err(self.too_many(given));
        }
        let missing: Vec<_> = (0..self.required)
            .filter(|&index| values[index].is_none())
            .map(|index| format!("'{}'", self.names[index]))
            .collect();
        if missing.is_empty() { Ok(values) } else { Err(self.missing(&missing)) }
    }

    fn error(&self, what: &str) -> PyErr {
        PyTypeError::with_text(format!("{}() {what}", self.function))
    }

    #[cold]
    fn too_many(&self, given: usize) -> PyErr {
        let extra = usize::from(self.is_method);
        let (most, given) = (self.positional + extra, given + extra);
        let takes = if self.required < self.positional {
            format!("from {} to {most} positional arguments", self.required + extra)
        } else if most == 1 {
            "1 positional argument".to_owned()
        } else {
            format!("{most} positional arguments")
        };
        let were = if given == 1 { "was" } else { "were" };
        self.error(&format!("takes {takes} but {given} {were} given"))
    }

    #[cold]
    fn missing(&self, names: &[String]) -> PyErr {
        let count = names.len();
        let (plural, listed) = match names {
            [name] => ("", name.clone()),
            [first, second] => ("s", format!("{first} and {second}")),
            [rest @ .., last] => ("s", format!("{}, and {last}", rest.join(", "))),
            [] => ("s", String::new()),
        };
        self.error(&format!("missing {count} required positional argument{plural}: {listed}"))
    }
}
