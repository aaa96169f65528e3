"""The fixed set of reasons a record is refused with, so that every counter can exist from the start."""

from __future__ import annotations

REASONS = frozenset(
    {
        # The record
        "empty",
        "oversized",
        "unknown_content_type",
        "unknown_format",
        "no_identity",
        "bad_header",
        # The payload
        "truncated",
        "malformed",
        "too_deep",
        "unknown_kind",
        "unknown_dtype",
        # The snapshot
        "bad_identity",
        "bad_time",
        "bad_axis",
        "too_large",
        "wrong_size",
        "incomplete",
        "not_finite",
        "out_of_range",
        "negative_counts",
        "negative_variance",
        "negative_entries",
    }
)
"""Every `monitor.errors.Reject.reason` that `monitor.decode.decode` raises.

===========================  =========================================================================
``empty``                    no payload
``oversized``                payload beyond what its format accepts; not read
``unknown_content_type``     a content-type header that no format goes by
``unknown_format``           no content type, and no format recognises the payload
``no_identity``              neither payload nor headers nor key say which histogram it is
``bad_header``               a header that is not what its name promises
``truncated``                Protobuf that is cut, or none
``malformed``                JSON that is cut, or none, or whose members are not ROOT's
``too_deep``                 JSON with too many levels or too many objects
``unknown_kind``             not one of the four kinds of histogram
``unknown_dtype``            an array of no known number type
``bad_identity``             stream, path, producer, run or lumisection that cannot be
``bad_time``                 data time before 1970, after 2100 or a day after the record
``bad_axis``                 axes that the kind cannot have, or that do not increase
``too_large``                more bins than accepted
``wrong_size``               an array that does not fit the axes
``incomplete``               something that the kind needs is missing
``not_finite``               NaN or infinity
``out_of_range``             a value too large to calculate with (1e30)
``negative_counts``          negative contents without variances
``negative_variance``        a negative variance
``negative_entries``         negative entries of a bin or in total
===========================  =========================================================================
"""
