"""What anybody may ask about card certificates over HTTP; every answer is signed by its CA.

| method and path | answers |
| --- | --- |
| GET /pki/ca/{key id}.cer | the issuing CA's certificate (DER) |
| GET /pki/crl/{key id}.crl | its newest revocation list (RFC 5280, DER) |
| POST /pki/ocsp | OCSP (RFC 6960) |
| GET /pki/ocsp/{question} | OCSP with the question in Base64, as RFC 6960 appendix A has it |

The key id is the CA's key identifier, 40 hexadecimal digits; `ca/current.cer` is the one that
issues now. Plain HTTP is right here: no answer needs more than its signature.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import unquote

from aiohttp import ETag, web

from hsm_stub.client.errors import HsmError
from processing.cards.certificate_status import Issuer, Issuers, OcspResponder, try_later
from processing.cards.certificates import CertificateStore
from processing.gateways.problems import at_most
from processing.kernel.errors import DatabaseError

REQUESTS_CONCURRENT_MAX: Final = 64
"""Questions about certificates under way at once; the next is told to try later."""
QUESTION_BYTES_MAX: Final = 1_024
"""Longest OCSP question: about one certificate it has some 120 bytes."""
CRL_FRESH_SECONDS: Final = 300
"""How long a mirror may give a list out without asking whether there is a newer one."""
OCSP_CONTENT_TYPE: Final = "application/ocsp-response"


class PkiParts:
    """What the routes stand on."""

    def __init__(self, store: CertificateStore, responder: OcspResponder, issuers: Issuers) -> None:
        self.store = store
        self.responder = responder
        self.issuers = issuers


_PARTS: Final = web.AppKey("pki", PkiParts)


def pki_application(parts: PkiParts) -> web.Application:
    """Return the routes as an aiohttp application, to be mounted at /pki."""
    app = web.Application(middlewares=[at_most(REQUESTS_CONCURRENT_MAX)])
    app[_PARTS] = parts
    app.router.add_get("/ca/{key_id}.cer", _get_certificate)
    app.router.add_get("/crl/{key_id}.crl", _get_list)
    app.router.add_post("/ocsp", _post_ocsp)
    app.router.add_get("/ocsp/{question:.+}", _get_ocsp)
    return app


def _issuer(request: web.Request) -> Issuer:
    issuer = request.app[_PARTS].issuers.with_key_id(request.match_info["key_id"].lower())
    if issuer is None:
        raise web.HTTPNotFound
    return issuer


async def _get_certificate(request: web.Request) -> web.Response:
    return web.Response(body=_issuer(request).certificate, content_type="application/pkix-cert")


async def _get_list(request: web.Request) -> web.Response:
    newest = await request.app[_PARTS].store.newest_list(_issuer(request).key_id)
    if newest is None:
        raise web.HTTPNotFound
    tag = f"{newest.number}"
    if any(one.value == tag for one in request.if_none_match or ()):
        response = web.Response(status=304)
    else:
        response = web.Response(body=newest.body, content_type="application/pkix-crl")
        response.last_modified = newest.this_update
    response.etag = ETag(tag)
    response.headers["Cache-Control"] = f"public, max-age={CRL_FRESH_SECONDS}"
    return response


async def _post_ocsp(request: web.Request) -> web.Response:
    return await _ocsp(request, await request.content.read(QUESTION_BYTES_MAX + 1))


async def _get_ocsp(request: web.Request) -> web.Response:
    try:
        question = base64.b64decode(unquote(request.match_info["question"]), validate=True)
    except (binascii.Error, ValueError):
        question = b""
    return await _ocsp(request, question)


async def _ocsp(request: web.Request, question: bytes) -> web.Response:
    try:
        body = await request.app[_PARTS].responder.answer(question[:QUESTION_BYTES_MAX])
    except (DatabaseError, HsmError):
        # Words that an OCSP client understands: it takes the revocation list instead.
        body = try_later()
    return web.Response(
        body=body, content_type=OCSP_CONTENT_TYPE, headers={"Cache-Control": "no-cache"}
    )
