//! Binding the arguments of a call to parameters, with the words of a function written in Python.

use pyo3::prelude::*;

use super::fastcall::Arguments;

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
                Some(index) if values[index].is_none() => values[index] = Some(value),
                Some(_) | None => return Err(self.refused(arguments)),
            }
        }
        if given > self.positional || values[..self.required].iter().any(Option::is_none) {
            return Err(self.refused(arguments));
        }
        Ok(values)
    }

    #[cold]
    fn refused(&self, arguments: &Arguments<'_, '_>) -> PyErr {
        let mut parameters = if self.is_method { vec!["self".to_owned()] } else { Vec::new() };
        for (index, name) in self.names.iter().enumerate() {
            if index == self.positional {
                parameters.push("*".to_owned());
            }
            let default = if index < self.required { "" } else { "=None" };
            parameters.push(format!("{name}{default}"));
        }
        arguments.refused(self.function, &parameters.join(", "), self.is_method)
    }
}
