"""Synthetic sample data: faces drawn by a parametric renderer and moved by facial action units.

They stand in for real faces wherever a data set must travel with the project. No person is depicted.
"""

from mlopsproject.data.synthetic.action_units import Expression, sample_expression
from mlopsproject.data.synthetic.render import render_expression, render_face
from mlopsproject.data.synthetic.write import contact_sheet, sample_face, write_dataset

__all__ = [
    "Expression",
    "contact_sheet",
    "render_expression",
    "render_face",
    "sample_expression",
    "sample_face",
    "write_dataset",
]
