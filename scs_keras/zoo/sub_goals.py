"""What builders check that offer networks with and without sub-goals."""


def check_sub_goals(network: str, sub_goals: str, switch: str) -> None:
    """Raises ValueError for sub-goals or a switch that the network has not, or a switch without its sub-goal.

    Args:
        network: "scs", or one without sub-goal networks.
        sub_goals: "none", or which.
        switch: "none", "astsgd", ...
    """
    if network != "scs" and (sub_goals, switch) != ("none", "none"):
        raise ValueError(
            "Sub-goals and switches are those of semi-coupled layers. Allowed with this network: sub_goals='none', "
            f"switch='none'. Received: network={network!r}, sub_goals={sub_goals!r}, switch={switch!r}."
        )
    if switch == "astsgd" and sub_goals == "none":
        raise ValueError(
            "ASTSGD sets q from the loss of T1 (Eq. 20). Received: switch='astsgd', sub_goals='none'. Give "
            "switch='stsgd' or switch='none' too."
        )
