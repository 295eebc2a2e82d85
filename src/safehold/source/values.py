"""What a written value is: plain data, a fitted model, or not to be told from the source."""

from __future__ import annotations

import ast
import re

from safehold.source.entries import last_name, literal
from safehold.source.scopes import How, Module, Scope

# Estimators of scikit-learn and of what follows its conventions (xgboost, lightgbm, ...).
_ESTIMATOR = re.compile(
    r"(Classifier|Regressor|Regression|Pipeline|Transformer|Vectorizer|Scaler|Encoder|Imputer"
    r"|Binarizer|Booster|Forest|Boost|KMeans|DBSCAN|SVC|SVR|PCA|NMF|LDA|Lasso|Ridge|ElasticNet"
    r"|SearchCV|CalibratedClassifierCV|Model|Estimator|Predictor)$"
)
_MODEL_NAME = re.compile(
    r"(?:^|[_\W\d])(model|clf|classifier|regressor|estimator|scaler|pipeline|pipe|vectori[sz]er"
    r"|encoder|forest|predictor|transformer|tfidf|kmeans|pca|svm|xgb|lgbm|ensemble|weights)s?"
    r"(?=$|[_\W\d])",
    re.IGNORECASE,
)
_PLAIN_CALLS = frozenset(
    "dict list tuple set frozenset str int float bool bytes sorted len sum min max round abs range "
    "time time_ns isoformat strftime copy deepcopy keys join lower upper strip".split()
)
_DEPTH = 12


def names_model(text: str) -> bool:
    """Say whether a name or path speaks of a model: `best_model`, `models/a.joblib`."""
    return _MODEL_NAME.search(text) is not None or text.endswith(".joblib")


class Values:
    """Judges expressions of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def is_model(self, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
        """Say whether the source shows that the value is a model."""
        if depth > _DEPTH:
            return False
        if isinstance(node, ast.Call):
            return self._is_model_call(node, scope, depth)
        if isinstance(node, ast.Dict):
            return any(self.is_model(value, scope, depth + 1) for value in node.values)
        if isinstance(node, ast.Tuple | ast.List):
            return any(self.is_model(value, scope, depth + 1) for value in node.elts)
        name = last_name(node)
        if not name:
            return False
        if names_model(name):
            return True
        if isinstance(node, ast.Attribute):
            return self._attribute_is_model(node, scope, depth)
        return self._is_fitted(name) or any(
            binding.how is How.ASSIGN
            and binding.value is not None
            and self.is_model(binding.value, owner, depth + 1)
            for owner, binding in scope.lookup(name)
        )

    def _is_model_call(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        name = last_name(node.func)
        if _ESTIMATOR.search(name) and name[:1].isupper():
            return True
        if name == "make_pipeline":
            return True
        if name in ("fit", "partial_fit") and isinstance(node.func, ast.Attribute):
            return True
        return name in ("copy", "deepcopy", "clone") and any(
            self.is_model(argument, scope, depth + 1) for argument in node.args
        )

    def _attribute_is_model(self, node: ast.Attribute, scope: Scope, depth: int) -> bool:
        owner = scope.enclosing_class
        if owner is None:
            return False
        return any(
            self.is_model(value, inner, depth + 1)
            for value, inner in self._module.attributes.get((owner, node.attr), ())
        )

    def _is_fitted(self, name: str) -> bool:
        """Say whether `name.fit(...)` or `name.predict(...)` stands anywhere in the module."""
        for node, _ in self._module.loads.get(name, ()):
            parent = self._module.parents.get(node)
            if isinstance(parent, ast.Attribute) and parent.attr in (
                "fit", "partial_fit", "predict", "predict_proba", "transform",
            ):  # fmt: skip
                return True
        return False

    def is_plain(self, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
        """Say whether the source shows that the value is made of plain data alone."""
        if depth > _DEPTH:
            return False
        following = depth + 1
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.Compare):
            return True
        if isinstance(node, ast.Dict):
            parts = [*node.keys, *node.values]
            return all(part is not None and self.is_plain(part, scope, following) for part in parts)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(self.is_plain(part, scope, following) for part in node.elts)
        if isinstance(node, ast.BinOp):
            return self.is_plain(node.left, scope, following) and self.is_plain(
                node.right, scope, following
            )
        if isinstance(node, ast.UnaryOp):
            return self.is_plain(node.operand, scope, following)
        if isinstance(node, ast.Call):
            return self._is_plain_call(node, scope, following)
        return isinstance(node, ast.Name) and self._is_plain_name(node, scope, following)

    def _is_plain_call(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        name = last_name(node.func)
        if name not in _PLAIN_CALLS:
            return False
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(node.func, ast.Attribute) and name in ("copy", "keys"):
            parts.append(node.func.value)
        return all(self.is_plain(part, scope, depth) for part in parts)

    def _is_plain_name(self, node: ast.Name, scope: Scope, depth: int) -> bool:
        bindings = list(scope.lookup(node.id))
        return (
            bool(bindings)
            and all(
                binding.how is How.ASSIGN
                and binding.value is not None
                and self.is_plain(binding.value, owner, depth)
                for owner, binding in bindings
            )
            and all(
                self._keeps_plain(use, inner, depth)
                for use, inner in self._module.loads.get(node.id, ())
                if use is not node
            )
        )

    def _keeps_plain(self, use: ast.Name, scope: Scope, depth: int) -> bool:
        """Say whether a use of a container cannot put anything but plain data into it."""
        parent = self._module.parents.get(use)
        if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store):
            above = self._module.parents.get(parent)
            return isinstance(above, ast.Assign) and self.is_plain(above.value, scope, depth)
        if isinstance(parent, ast.Attribute):
            above = self._module.parents.get(parent)
            if isinstance(above, ast.Call) and parent.attr in (
                "append", "add", "update", "extend", "insert", "setdefault",
            ):  # fmt: skip
                return all(self.is_plain(argument, scope, depth) for argument in above.args)
        return True

    def reads_model(self, call: ast.Call) -> bool:
        """Say whether what a load gives is kept under a name that speaks of a model."""
        parent = self._module.parents.get(call)
        if isinstance(parent, ast.Attribute):
            return parent.attr in ("predict", "predict_proba", "transform", "fit")
        targets: list[ast.expr] = []
        if isinstance(parent, ast.Assign):
            targets = parent.targets
        elif isinstance(parent, ast.AnnAssign | ast.NamedExpr):
            targets = [parent.target]
        for target in targets:
            key = literal(target.slice) if isinstance(target, ast.Subscript) else last_name(target)
            if key and (names_model(key) or self._is_fitted(key)):
                return True
        return False
