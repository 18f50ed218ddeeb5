"""Answers the double gives itself, in the registry's error format or as a load balancer's HTML."""

import html
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from aiohttp import web

# Codes of the OCI distribution specification, "Error Codes"; others are distribution's own.
_CODES = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    409: "UNKNOWN",
    413: "SIZE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}

BodyStyle = Literal["registry", "html", "empty"]


@dataclass(frozen=True)
class Reply:
    """An answer in place of distribution's: status, error code and message, extra headers, body style."""

    status: int
    message: str
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    style: BodyStyle = "registry"

    def response(self) -> web.Response:
        """The answer for aiohttp."""
        content, content_type = self._body()
        response = web.Response(status=self.status, body=content, headers=self.headers)
        response.content_type = content_type
        if self.style == "registry":
            response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    def _body(self) -> tuple[bytes, str]:
        if self.style == "empty":
            return b"", "text/plain"
        if self.style == "html":
            title = f"{self.status} {_phrase(self.status)}"
            body = f"<h1>{title}</h1>{html.escape(self.message)}"
            page = f"<html><head><title>{title}</title></head><body>{body}</body></html>"
            return page.encode(), "text/html"
        code = self.code or _CODES.get(self.status, "UNKNOWN")
        document = {"errors": [{"code": code, "message": self.message, "detail": None}]}
        return json.dumps(document).encode(), "application/json"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
