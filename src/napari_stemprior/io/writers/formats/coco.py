"""Atoms as COCO keypoints, for pycocotools, Detectron2, MMPose and the like.

One annotation an atom with one keypoint, its column. A category is an element; marked vacancies are the
category ``vacancy``, and their ``element`` is what is missing. Keypoints are 0-based with pixel centres on
integers, as COCO's own are; the box counts from the outer edge of the first pixel, as COCO's boxes do, so its
middle is the keypoint plus half a pixel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_stemprior.io.json_values import plain
from napari_stemprior.io.writers.formats.subject import ExportSubject
from napari_stemprior.io.writers.label_mask import disk_radius

#: COCO's flag of a keypoint that is labelled and visible.
_VISIBLE = 2


def write_coco(subject: ExportSubject, path: Path) -> None:
    """Write one image with its annotations as a COCO keypoint file.

    Parameters
    ----------
    subject : ExportSubject
        Needs the shape of the image.
    path : pathlib.Path
    """
    height, width = subject.known_shape("A COCO file")
    table = subject.table
    radius = disk_radius(subject.atoms) / table.pixel_size
    categories: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for category, (name, members) in enumerate(subject.classes().items(), 1):
        categories.append(
            {"id": category, "name": name, "supercategory": "site", "keypoints": ["column"], "skeleton": []}
        )
        for row in members.rows.to_dict("records"):
            x, y = row["x_px"], row["y_px"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 1,
                    "category_id": category,
                    "keypoints": [x, y, _VISIBLE],
                    "num_keypoints": 1,
                    "bbox": [x + 0.5 - radius, y + 0.5 - radius, 2 * radius, 2 * radius],
                    "area": (2 * radius) ** 2,
                    "iscrowd": 0,
                    "score": row["confidence"],
                    "atom_id": row["atom_id"],
                    "element": row["element"],
                    "site": row["site"],
                    "layer": row["layer"],
                    "status": row["status"],
                }
            )
    content = {
        "info": {
            "description": f"Atom columns of {subject.name}",
            "pixel_size_angstrom": table.pixel_size,
            "provenance": table.provenance,
        },
        "images": [{"id": 1, "file_name": subject.name, "width": width, "height": height}],
        "categories": categories,
        "annotations": annotations,
    }
    path.write_text(json.dumps(plain(content), allow_nan=False), encoding="utf-8")
