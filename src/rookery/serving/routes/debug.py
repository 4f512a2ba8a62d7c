"""`/debug`: configuration and package metadata, for whoever runs the server with `DEBUG=true`."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rookery.serving.mount import Mount
from rookery.serving.responses import JsonResponse
from rookery.serving.routes.overview import rookery_version
from rookery.serving.site import Site
from rookery.settings import masked_settings


class ShowDebug:
    """`GET /debug` of one service, or of all (`mount` None); 404 unless the setting `debug` is on."""

    def __init__(self, site: Site, mount: Mount | None) -> None:
        self._site = site
        self._mount = mount

    async def __call__(self, _: Request) -> Response:
        """Answer with every setting (secrets masked) and every loaded package's manifest."""
        if not self._site.settings.debug:
            raise HTTPException(404, "there is nothing at this path")
        mounts = self._site.mounts if self._mount is None else [self._mount]
        return JsonResponse(
            {
                "rookery": rookery_version(),
                "python": sys.version.split()[0],
                "platform": platform.platform(),
                "pid": os.getpid(),
                "stage": self._site.state.stage.name.lower(),
                "settings": masked_settings(self._site.settings),
                "services": {mount.name: _describe_packages(mount) for mount in mounts},
            }
        )


def _describe_packages(mount: Mount) -> dict[str, Any]:
    endpoint = mount.endpoint
    return {
        "champion": mount.version,
        "aliases": dict(endpoint.aliases),
        "reason": endpoint.reason,
        "is_light": endpoint.is_light,
        "versions": {
            name: {
                "run_microseconds": round(loaded.run_seconds * 1e6, 1),
                "directory": str(loaded.package.directory),
                "manifest": loaded.package.manifest.model_dump(mode="json"),
            }
            for name, loaded in endpoint.versions.items()
        },
    }
