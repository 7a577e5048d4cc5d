"""The families of skeletons, and how one is read from its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from nas.architecture.skeletons.convolutional import Skeleton
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.architecture.skeletons.transformer import Transformer
from nas.architecture.skeletons.unet import UNet
from nas.architecture.skeletons.wrapped import Wrapped
from nas.errors import InputError, brief, unknown

FAMILIES: dict[str, type[AnySkeleton]] = {
    "convolutional": Skeleton,
    "transformer": Transformer,
    "unet": UNet,
    "wrapped": Wrapped,
}
"""By the `family` of a record; one without has the convolutional, as all had before there were others."""


def read_skeleton(values: Mapping[str, Any], place: str = "skeleton") -> AnySkeleton:
    """The skeleton of a record.

    Raises:
        InputError: an unknown family, or fields that it does not have.
    """
    from nas.files.settings import from_mapping

    if not isinstance(values, Mapping):
        raise InputError(f"{place}: a table is needed, not {brief(values)}")
    family = values.get("family", "convolutional")
    if not isinstance(family, str) or family not in FAMILIES:
        raise unknown("family of skeletons", family, FAMILIES, place=place)
    return from_mapping(FAMILIES[family], values, place)


class _Reader:
    """Lets pydantic read a field that holds a skeleton of any family."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, AnySkeleton) else read_skeleton(value)
        )


RecordedSkeleton: TypeAlias = Annotated[AnySkeleton, _Reader()]
