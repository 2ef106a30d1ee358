"""What is slow the first time, done once before the boot snapshot is taken: what it leaves behind every start finds done."""

from __future__ import annotations

from pystore.browser import arguments
from pystore.browser.verbs import VERBS
from pystore.own_events import Named
from pystore.projector import draft
from pystore.schema import Schema
from pystore.view import View
from pystore.witness import Witness


def warm_up() -> None:
    """Make the models of all arguments; let the libraries set themselves up by using each once. Nothing else of it is left."""
    for verb in {*arguments.ARGUMENTS, *VERBS}:
        arguments.model(verb)
    arguments.check("open", {})
    schema = Schema("nothing", app=1, views=1)
    draft(schema, Named(name="nobody"))
    view = View(schema)
    view.read_json("SELECT 1")
    view.close()
    noted = Witness(epoch="", name="nobody", events=0, feeds={}, at="")
    Witness.model_validate_json(noted.model_copy(update={"sha256": noted.digest()}).model_dump_json())
