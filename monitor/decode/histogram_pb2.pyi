from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    TH1: _ClassVar[Kind]
    TH2: _ClassVar[Kind]
    TPROFILE: _ClassVar[Kind]
    TPROFILE2D: _ClassVar[Kind]

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[DType]
    FLOAT32: _ClassVar[DType]
    FLOAT64: _ClassVar[DType]
    INT8: _ClassVar[DType]
    INT16: _ClassVar[DType]
    INT32: _ClassVar[DType]
    INT64: _ClassVar[DType]
    UINT8: _ClassVar[DType]
    UINT16: _ClassVar[DType]
    UINT32: _ClassVar[DType]
    UINT64: _ClassVar[DType]
KIND_UNSPECIFIED: Kind
TH1: Kind
TH2: Kind
TPROFILE: Kind
TPROFILE2D: Kind
DTYPE_UNSPECIFIED: DType
FLOAT32: DType
FLOAT64: DType
INT8: DType
INT16: DType
INT32: DType
INT64: DType
UINT8: DType
UINT16: DType
UINT32: DType
UINT64: DType

class Array(_message.Message):
    __slots__ = ("dtype", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: DType
    data: bytes
    def __init__(self, dtype: _Optional[_Union[DType, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Axis(_message.Message):
    __slots__ = ("bins", "low", "high", "edges", "labels", "title")
    BINS_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    bins: int
    low: float
    high: float
    edges: _containers.RepeatedScalarFieldContainer[float]
    labels: _containers.RepeatedScalarFieldContainer[str]
    title: str
    def __init__(self, bins: _Optional[int] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., edges: _Optional[_Iterable[float]] = ..., labels: _Optional[_Iterable[str]] = ..., title: _Optional[str] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("stream", "path", "run", "lumisection", "time_ns", "kind", "cumulative", "producer", "sequence", "axes", "contents", "variances", "entries", "total_entries")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    LUMISECTION_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    VARIANCES_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    stream: str
    path: str
    run: int
    lumisection: int
    time_ns: int
    kind: Kind
    cumulative: bool
    producer: str
    sequence: int
    axes: _containers.RepeatedCompositeFieldContainer[Axis]
    contents: Array
    variances: Array
    entries: Array
    total_entries: float
    def __init__(self, stream: _Optional[str] = ..., path: _Optional[str] = ..., run: _Optional[int] = ..., lumisection: _Optional[int] = ..., time_ns: _Optional[int] = ..., kind: _Optional[_Union[Kind, str]] = ..., cumulative: _Optional[bool] = ..., producer: _Optional[str] = ..., sequence: _Optional[int] = ..., axes: _Optional[_Iterable[_Union[Axis, _Mapping]]] = ..., contents: _Optional[_Union[Array, _Mapping]] = ..., variances: _Optional[_Union[Array, _Mapping]] = ..., entries: _Optional[_Union[Array, _Mapping]] = ..., total_entries: _Optional[float] = ...) -> None: ...
