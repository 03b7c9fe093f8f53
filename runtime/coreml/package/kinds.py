"""The kinds of models that are no ML Program: what each is called, and what whoever has one can do."""

from __future__ import annotations

CONVERT = (
    "Convert its source again as an ML Program: coremltools' `convert` with minimum_deployment_target iOS15 or later."
)
APPLES_OWN = (
    "What it computes with is part of iOS, not of this file: time it on a phone, by Xcode's performance report."
)
OWN_CODE = "What it computes is not in this file: time it in its app."
NO_NETWORK = "It is no network, and costs next to nothing beside one."
MENDS = (APPLES_OWN, OWN_CODE, CONVERT, NO_NETWORK)
"""Of several models together the first of these that is about one of them is told."""
KINDS = {
    "nonMaximumSuppression": ("non-maximum suppression", NO_NETWORK),
    "visionFeaturePrint": ("image features of Apple's own", APPLES_OWN),
    "audioFeaturePrint": ("sound features of Apple's own", APPLES_OWN),
    "soundAnalysisPreprocessing": ("preparation of sound of Apple's own", APPLES_OWN),
    "textClassifier": ("a text classifier of Create ML", APPLES_OWN),
    "wordTagger": ("a word tagger of Create ML", APPLES_OWN),
    "wordEmbedding": ("a word embedding of Create ML", APPLES_OWN),
    "gazetteer": ("a gazetteer of Create ML", APPLES_OWN),
    "serializedModel": ("a serialized model of Create ML", APPLES_OWN),
    "customModel": ("a custom model, whose code is in its app", OWN_CODE),
    "linkedModel": ("a link to another model", OWN_CODE),
    "treeEnsembleClassifier": ("a tree ensemble", NO_NETWORK),
    "treeEnsembleRegressor": ("a tree ensemble", NO_NETWORK),
    "glmClassifier": ("a linear classifier", NO_NETWORK),
    "glmRegressor": ("a linear regression", NO_NETWORK),
    "bayesianProbitRegressor": ("a Bayesian regression", NO_NETWORK),
    "supportVectorClassifier": ("a support vector machine", NO_NETWORK),
    "supportVectorRegressor": ("a support vector machine", NO_NETWORK),
    "kNearestNeighborsClassifier": ("a nearest neighbours classifier", NO_NETWORK),
    "itemSimilarityRecommender": ("a recommender of Create ML", NO_NETWORK),
    "featureVectorizer": ("a feature vectorizer", NO_NETWORK),
    "classConfidenceThresholding": ("thresholds of confidences", NO_NETWORK),
    "oneHotEncoder": ("a one-hot encoder", NO_NETWORK),
    "imputer": ("an imputer", NO_NETWORK),
    "dictVectorizer": ("a dictionary vectorizer", NO_NETWORK),
    "scaler": ("a scaler", NO_NETWORK),
    "categoricalMapping": ("a mapping of categories", NO_NETWORK),
    "normalizer": ("a normalizer", NO_NETWORK),
    "arrayFeatureExtractor": ("an array feature extractor", NO_NETWORK),
    "identity": ("an identity", NO_NETWORK),
}
"""By the name that Core ML's format gives them."""
NEURAL_NETWORK = "neuralNetwork"


def kind_of(name: str, num_layers: int | None = None) -> tuple[str, str]:
    """What a model of this kind is called, and what to do."""
    if name.startswith(NEURAL_NETWORK):
        layers = "" if num_layers is None else f" of {num_layers} layers"
        return f"a neural network{layers}, the older form of Core ML's models", CONVERT
    return KINDS.get(name, (f"a model of the kind {name}" if name else "a model of another kind", CONVERT))
