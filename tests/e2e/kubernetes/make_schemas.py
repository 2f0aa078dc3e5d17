"""JSON schemas for kubeconform, from the OpenAPI document of a cluster: what that very API server takes, CRDs included.

kubeconform's own schemas come from a host that a test must not need. Strict: an object has only the fields that it may have.
"""
import json
import pathlib


def strict(node):
    """The same schema, without unknown fields, and with the types that OpenAPI 2 cannot say."""
    if isinstance(node, list):
        return [strict(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string"):
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    made = {key: {name: strict(field) for name, field in value.items()} if key == "properties" else strict(value)
            for key, value in node.items() if not key.startswith("x-kubernetes-") and key != "format"}
    if "$ref" in made:
        return {"$ref": made["$ref"].replace("#/", "_definitions.json#/")}
    open_ended = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
    if isinstance(node.get("properties"), dict) and not open_ended:
        made["additionalProperties"] = False
    return made


def write_schemas(openapi, folder):
    """Writes one file per kind, named as kubeconform asks for it: kind-group-version.json."""
    folder = pathlib.Path(folder)
    definitions = {name: strict(definition) for name, definition in openapi["definitions"].items()}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    (folder / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, definition in openapi["definitions"].items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            parts = [kind["kind"], kind["group"].split(".")[0], kind["version"]]
            file = "-".join(part.lower() for part in parts if part) + ".json"
            (folder / file).write_text(json.dumps({"$ref": f"_definitions.json#/definitions/{name}"}))
