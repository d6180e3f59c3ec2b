"""From a model to what serves it."""

if __name__ != "scs_keras.serving":  # through the link at the top of a checkout it would be a second package
    raise ImportError(
        "Import scs_keras.serving: the folder serving at the top of the repository is a link for readers."
    )
